//! `http`: requests to granted origins, each over a connection of its own to an address that was checked.

mod connection;
mod message;

use std::time::Duration;

use latchkey_adapters::host::Denial;
use latchkey_adapters::host::http::{HttpError, Request, Response};
use tokio::time::Instant;

use super::Host;
use crate::adapters::origin::Origin;
use crate::adapters::rights::Use;
use connection::{Cut, Target};
pub(in crate::adapters) use connection::{Tls, tls};

impl Host {
    pub(super) async fn send_http(&mut self, request: Request) -> Result<Response, HttpError> {
        let url = message::url(&request.url).map_err(HttpError::Invalid)?;
        let origin = Origin::of(&url).ok_or_else(|| HttpError::Invalid(message::EXPECTED_URL.to_owned()))?;
        self.check(Use::Http(&origin)).map_err(HttpError::Denied)?;
        if self.http_requests >= self.terms.limits.http_requests {
            return Err(HttpError::TooMany);
        }
        let timeout = request.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms.into()));
        let deadline = timeout.map_or(self.last_moment(), |timeout| timeout.min(self.last_moment()));
        let (message, blots) =
            message::written(request, &url, &origin, |name| self.secret(name)).map_err(HttpError::Invalid)?;
        self.http_requests += 1;
        let response_max = self.terms.limits.response_bytes;
        let tls = || self.serve.adapters.tls();
        let target = Target { origin: &origin, deadline, response_max };
        let came = match target.addresses().await {
            Ok(addresses) => target.exchange(&addresses, message, tls).await,
            Err(cut) => Err(cut),
        };
        let (adapter, hosting) = (self.name(), self.hosting.id.as_str());
        match came {
            Ok((head, body)) => {
                tracing::debug!(adapter, hosting, %origin, status = head.status.as_u16(), "an adapter's request");
                Ok(message::response(&blots, &head, body.into()))
            }
            Err(cut) => {
                tracing::warn!(adapter, hosting, %origin, %cut, "an adapter's request did not work");
                Err(cut.into())
            }
        }
    }
}

impl From<Cut> for HttpError {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::NotPublic { .. } => Self::Denied(Denial { message: cut.to_string(), grant: None }),
            Cut::NotSent(_) => Self::NotSent(cut.to_string()),
            Cut::NoAnswer(_) => Self::NoAnswer(cut.to_string()),
            Cut::TooLong(most) => Self::TooLong(most.into()),
        }
    }
}
