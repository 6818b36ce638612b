//! `sso.*`: WP Admin as a chosen WordPress user.

use latchkey_access::Permit;
use latchkey_access::rows::{SsoOpen, SsoUsers};

use super::{Context, OF_A_SITE, Run};
use crate::problem::Problem;
use crate::wordpress::sso::{self, OpenInput, OpenOutput, UsersInput, UsersOutput};

impl Run for SsoUsers {
    type Input = UsersInput;
    type Output = UsersOutput;
    const FAILURES: &[u16] = OF_A_SITE;

    async fn run(context: &Context, permit: Permit<Self>, input: UsersInput) -> Result<UsersOutput, Problem> {
        sso::users(&context.serve, &permit, input).await
    }
}

impl Run for SsoOpen {
    type Input = OpenInput;
    type Output = OpenOutput;
    const FAILURES: &[u16] = OF_A_SITE;
    const ANSWER_IS_SECRET: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: OpenInput) -> Result<OpenOutput, Problem> {
        sso::open(&context.serve, &permit, input).await
    }
}
