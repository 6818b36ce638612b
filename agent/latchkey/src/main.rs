//! The `latchkey` program. All of it lives in the library beside this file.

use std::process::ExitCode;

fn main() -> ExitCode {
    latchkey::main()
}
