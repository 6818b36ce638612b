//! The conformance kit: whether a component is an adapter that an operator can rely on.
//!
//! It needs the component alone. The real compiler and the real runner work, confined, as whoever runs the check; the kit
//! plays the agent at the other end of a lane (`runner`), with the host interfaces as models in memory (`world`), makes
//! arguments up from the interface's own types (`interface`, `samples`), and judges what comes (`checks`).

pub mod bench;
pub mod checks;
pub mod interface;
pub mod programs;
pub mod report;
pub mod runner;
pub mod samples;
pub mod world;

use latchkey_adapters::Limits;

pub use programs::Programs;
pub use report::{Line, Mark, Report};

/// What whoever runs the check may say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the operator would set for the hosting of the calls.
    pub settings: Vec<(String, String)>,
    /// What commands of the operator's print, by their names.
    pub commands: Vec<(String, String)>,
    /// What the operator would allow each call.
    pub limits: Limits,
}

/// Why the check itself could not go on. What is wrong with the component is in the report instead.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A program is missing or cannot be started.
    #[error(transparent)]
    Programs(#[from] programs::ProgramsError),
    /// The runner is gone or says something else.
    #[error(transparent)]
    Runner(#[from] runner::RunnerError),
    /// The interface cannot be read.
    #[error(transparent)]
    Interface(#[from] interface::InterfaceError),
}

/// Checks a component. Takes seconds; blocks.
pub fn check(component: &[u8], programs: &Programs, options: &Options) -> Result<Report, CheckError> {
    let (mut report, bench) = checks::component::look(component, programs, options)?;
    match bench {
        Some(mut bench) => {
            for check in checks::CALLED {
                report.add(check, (check.run)(&mut bench)?);
            }
            report.calls = bench.calls();
        }
        None => checks::CALLED.iter().for_each(|check| {
            report.add(check, checks::Verdict::NotApplicable("the component cannot be called".into()));
        }),
    }
    Ok(report)
}
