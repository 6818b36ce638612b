//! `phpmyadmin.open`: phpMyAdmin for one database, without a password.

use latchkey_access::Permit;
use latchkey_access::rows::PhpmyadminOpen;

use super::{Context, Run};
use crate::phpmyadmin::{self, OpenInput, OpenOutput};
use crate::problem::Problem;

impl Run for PhpmyadminOpen {
    type Input = OpenInput;
    type Output = OpenOutput;
    const ANSWER_IS_SECRET: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: OpenInput) -> Result<OpenOutput, Problem> {
        let prefix = &context.hosting(&permit)?.db_prefix;
        phpmyadmin::open(&context.serve, &permit, prefix, input).await
    }
}
