//! Origins of HTTP: what a manifest asks for, what the operator grants, and what a request goes to.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use url::{Host, Url};

use super::address::is_public;

/// A scheme, a host and a port, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Origin {
    is_tls: bool,
    host: Host<String>,
    port: u16,
}

/// What a manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum AskedOrigin {
    /// `https://*`: the servers that the operator names.
    Granted,
    /// This one.
    Exactly(Origin),
}

/// A text that is no origin which can be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: expected https:// with a host, a port if need be and nothing more, or http:// with a literal address that is \
     not public"
)]
pub(crate) struct OriginError(String);

impl AskedOrigin {
    const GRANTED: &str = "https://*";
}

impl Origin {
    /// Where a request goes; `None` if that is nothing of HTTP.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self { is_tls, host: url.host()?.to_owned(), port: url.port_or_known_default()? })
    }

    /// Whether it is reached by TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// A name or an address.
    pub(crate) fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As the header `Host` has it.
    pub(crate) fn authority(&self) -> String {
        let is_default = self.port == if self.is_tls { 443 } else { 80 };
        if is_default { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }

    fn is_local_address(&self) -> bool {
        match self.host {
            Host::Ipv4(address) => !is_public(address.into()),
            Host::Ipv6(address) => !is_public(address.into()),
            Host::Domain(_) => false,
        }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let refused = || OriginError(text.to_owned());
        let url = Url::parse(text).map_err(|_| refused())?;
        let origin = Self::of(&url).ok_or_else(refused)?;
        // Nothing was left out, and nothing was put right.
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if matches!(&origin.host, Host::Domain(name) if !is_name(name)) {
            return Err(refused());
        }
        let is_exact = text == origin.to_string() || text == format!("{origin}:{}", origin.port);
        if is_exact && (origin.is_tls || origin.is_local_address()) { Ok(origin) } else { Err(refused()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}", self.authority())
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        text.parse()
    }
}

impl TryFrom<String> for AskedOrigin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        if text == Self::GRANTED { Ok(Self::Granted) } else { text.parse().map(Self::Exactly) }
    }
}

impl fmt::Display for AskedOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted => formatter.write_str(Self::GRANTED),
            Self::Exactly(origin) => origin.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, told) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://api.example.com:443", "https://api.example.com"),
            ("https://panel.example:2083", "https://panel.example:2083"),
            ("https://192.0.2.7:2083", "https://192.0.2.7:2083"),
            ("https://[2001:db8::7]", "https://[2001:db8::7]"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]", "http://[::1]"),
            ("http://169.254.169.254", "http://169.254.169.254"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), told);
        }
    }

    #[test]
    fn what_is_more_or_less_than_that_is_refused() {
        for text in [
            "",
            "api.example.com",
            "https://",
            "https://api.example.com/",
            "https://api.example.com/v1",
            "https://api.example.com?q",
            "https://user@api.example.com",
            "https://*.example.com",
            "https://API.example.com",
            "https://api.example.com:99999",
            "https://0x7f.1",
            "ftp://api.example.com",
            "file:///etc/passwd",
            "http://api.example.com",
            "http://localhost:8080",
            "http://1.1.1.1",
        ] {
            let told = text.parse::<Origin>();
            assert!(told.is_err(), "{text}: {told:?}");
        }
    }

    #[test]
    fn a_request_is_of_the_origin_that_is_connected_to() {
        let of = |text: &str| Origin::of(&Url::parse(text).unwrap()).map(|origin| origin.to_string());
        assert_eq!(of("https://api.example.com/v1?q=1"), Some("https://api.example.com".to_owned()));
        assert_eq!(of("HTTPS://API.Example.Com:443"), Some("https://api.example.com".to_owned()));
        // Other ways to write an address are that address.
        assert_eq!(of("http://0x7f.1:80/"), Some("http://127.0.0.1".to_owned()));
        assert_eq!(of("http://2130706433/"), Some("http://127.0.0.1".to_owned()));
        assert_eq!(of("https://good.example@evil.example/"), Some("https://evil.example".to_owned()));
        assert_eq!(of("https://good.example\\@evil.example/"), Some("https://good.example".to_owned()));
        assert_eq!(of("file:///etc/passwd"), None);
    }
}
