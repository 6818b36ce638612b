//! `cargo xtask demo`: a node that runs until a signal.

use std::path::PathBuf;
use std::thread;

use anyhow::Result;
use clap::Args;

use crate::build::Build;
use crate::clock::Stopwatch;
use crate::node::{AgentOptions, Node, Options, Storage, packages};
use crate::process::{self, Program};
use crate::termination::{self, Exit};
use crate::walk_through;

/// The arguments of the demo.
#[derive(Args, Debug)]
pub struct Demo {
    /// Write what runs where to this file, as JSON, once everything runs.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Port of the panel API (default: a free one).
    #[arg(long, value_name = "PORT")]
    port_panel: Option<u16>,
    /// Port of the gateway (default: a free one).
    #[arg(long, value_name = "PORT")]
    port_gateway: Option<u16>,
    /// Port of SFTP (default: a free one).
    #[arg(long, value_name = "PORT")]
    port_sftp: Option<u16>,
    /// Port of the FTP server (default: a free one).
    #[arg(long, value_name = "PORT")]
    port_ftp: Option<u16>,
    /// Port of the instance `live` (default: a free one).
    #[arg(long, value_name = "PORT")]
    port_live: Option<u16>,
    /// Port of the instance `second` (default: a free one).
    #[arg(long, value_name = "PORT")]
    port_second: Option<u16>,
    /// Directory with the programs of the agent, built already.
    #[arg(long, value_name = "DIR", hide = true)]
    built: Option<PathBuf>,
}

impl Demo {
    /// Runs the demo. Returns only if it could not start: a signal ends the process.
    ///
    /// # Errors
    /// When anything does not start.
    pub fn run(self) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            return self.run_with_sudo();
        }
        packages::ensure()?;
        println!("Building ...");
        let built = Build::Ready(self.build().run()?);
        let stopwatch = Stopwatch::start();
        let agent = AgentOptions {
            panel_port: self.port_panel,
            gateway_port: self.port_gateway,
            sftp_port: self.port_sftp,
            ftp_port: self.port_ftp,
            ..AgentOptions::default()
        };
        termination::set_exit(Exit::Expected)?;
        println!("Starting MariaDB, PHP, nginx, WordPress and the agent ...");
        let node = Node::start(Options {
            build: built,
            agent: Some(agent),
            live_port: self.port_live,
            second_port: self.port_second,
            ready_file: self.ready_file,
            storage: Storage::MemoryFirst,
        });
        let node = match node {
            Err(error) if !termination::has_begun()? => return Err(error),
            Err(_) => wait_for_the_end(),
            Ok(node) => node,
        };
        println!("Ready after {:.1} s.\n", stopwatch.elapsed().as_secs_f64());
        println!("{}", walk_through::text(&node)?);
        wait_for_the_end()
    }

    fn build(&self) -> Build {
        self.built.clone().map_or(Build::Release, Build::Ready)
    }

    /// Builds as who we are, so that the build's output stays ours, and becomes the same demo as root.
    fn run_with_sudo(&self) -> Result<()> {
        let built = self.build().run()?;
        let ourselves = process::ourselves()?;
        let mut program = Program::new("sudo").with_our_environment().arg("--").arg(ourselves).arg("demo");
        program = program.arg("--built").arg(built);
        if let Some(file) = &self.ready_file {
            program = program.arg("--ready-file").arg(file);
        }
        let ports = [
            ("--port-panel", self.port_panel),
            ("--port-gateway", self.port_gateway),
            ("--port-sftp", self.port_sftp),
            ("--port-ftp", self.port_ftp),
            ("--port-live", self.port_live),
            ("--port-second", self.port_second),
        ];
        for (name, port) in ports {
            if let Some(port) = port {
                program = program.arg(name).arg(port.to_string());
            }
        }
        program.replace_us()
    }
}

/// Signals end the process, from the thread that waits for them.
fn wait_for_the_end() -> ! {
    loop {
        thread::park();
    }
}
