//! `cpanel-simulator USER TOKEN PREFIX DOMAIN`: plays cPanel on a port of loopback, which it prints, until it is stopped.

use std::io::{self, Write as _};
use std::process::ExitCode;

use cpanel_simulator::{Account, Simulator};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [user, token, prefix, domain] = &arguments[..] else {
        writeln!(io::stderr(), "usage: cpanel-simulator USER TOKEN PREFIX DOMAIN")?;
        return Ok(ExitCode::from(2));
    };
    let simulator = Simulator::start(Account::new(user, token, prefix, domain))?;
    let mut output = io::stdout();
    writeln!(output, "{}", simulator.origin())?;
    output.flush()?;
    simulator.wait();
    Ok(ExitCode::SUCCESS)
}
