//! What the node's certificates say: names, purposes, lifetimes. Pure but for randomness; touches no file.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};

/// Certificates begin this much earlier, for peers whose clock is behind.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);
const NAME_MAX: usize = 64;
const URI_MAX: usize = 255;

/// A certificate and its key as PEM text.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) until: Timestamp,
}

/// Why a certificate cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// Not a URI.
    #[error(
        "--client-uri {uri:?}: expected an absolute URI such as urn:latchkey:panel:main, ASCII, at most 255 characters"
    )]
    Uri { uri: String },
    /// Neither a host name nor an address.
    #[error("--server {name:?}: expected a host name in its ASCII form or an IP address")]
    Server { name: String },
    /// Empty or too long.
    #[error("--name {name:?}: expected 1 to 64 characters, none of them a control character")]
    Name { name: String },
    /// It would outlive its authority.
    #[error("--days {days}: the authority itself ends at {end}")]
    OutlivesAuthority { days: u32, end: Timestamp },
    /// The authority is over.
    #[error("the authority has ended at {end}; make a new one with `latchkey pki init --force`")]
    AuthorityEnded { end: Timestamp },
    /// No certificate in the file, or one that cannot be read.
    #[error("ca.pem is not a certificate")]
    NotACertificate,
    /// The certificate may not sign others.
    #[error("ca.pem is not the certificate of an authority")]
    NotAnAuthority,
    /// The key belongs to something else.
    #[error("ca.key is not the key of ca.pem")]
    OtherKey,
    /// The key cannot be read.
    #[error("ca.key is not a private key in PKCS #8")]
    NotAKey(#[source] rcgen::Error),
    /// A date that does not exist.
    #[error("--days {days}: the end is out of range")]
    OutOfRange { days: u32 },
    /// The library refused.
    #[error("make the key or sign the certificate")]
    Sign(#[source] rcgen::Error),
    /// The kernel gave no random bytes.
    #[error("read random bytes")]
    Random(#[source] getrandom::Error),
}

/// What a certificate is for, with the names it carries.
#[derive(Debug)]
pub(crate) struct Purpose {
    usage: ExtendedKeyUsagePurpose,
    names: Vec<SanType>,
}

impl Purpose {
    /// A client that is known by exactly one URI.
    pub(crate) fn client(uri: &str) -> Result<Self, CertificateError> {
        let fault = || CertificateError::Uri { uri: uri.to_owned() };
        if !is_uri(uri) {
            return Err(fault());
        }
        let name = SanType::URI(uri.try_into().map_err(|_| fault())?);
        Ok(Self { usage: ExtendedKeyUsagePurpose::ClientAuth, names: vec![name] })
    }

    /// A server that is reached under these host names and addresses.
    pub(crate) fn server(names: &[String]) -> Result<Self, CertificateError> {
        let names = names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
        Ok(Self { usage: ExtendedKeyUsagePurpose::ServerAuth, names })
    }
}

/// Makes a self-signed authority that signs end certificates only (path length 0).
pub(crate) fn make_authority(name: &str, now: Timestamp, days: u32) -> Result<Made, CertificateError> {
    let until = after(now, days)?;
    let key = new_key()?;
    let mut params = params(name, now, until)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(CertificateError::Sign)?;
    Ok(Made { certificate: certificate.pem(), key: key.serialize_pem(), until })
}

/// An authority that was read from its files.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    end: Timestamp,
}

impl Authority {
    /// Reads certificate and key, and makes sure that they belong together.
    pub(crate) fn parse(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::from_pem(key).map_err(CertificateError::NotAKey)?;
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(certificate.as_bytes()).map_err(|_| CertificateError::NotACertificate)?;
        let parsed = pem.parse_x509().map_err(|_| CertificateError::NotACertificate)?;
        if !parsed.is_ca() {
            return Err(CertificateError::NotAnAuthority);
        }
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(CertificateError::OtherKey);
        }
        let end = Timestamp::from_second(parsed.validity().not_after.timestamp())
            .map_err(|_| CertificateError::NotACertificate)?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key).map_err(|_| CertificateError::NotACertificate)?;
        Ok(Self { issuer, end })
    }

    /// When a certificate made now ends: after the asked days, which must not go beyond the authority's own end, or
    /// after the usual ones, cut to it.
    pub(crate) fn leaf_end(
        &self,
        now: Timestamp,
        asked: Option<u32>,
        usual: u32,
    ) -> Result<Timestamp, CertificateError> {
        if self.end <= now {
            return Err(CertificateError::AuthorityEnded { end: self.end });
        }
        match asked {
            None => Ok(after(now, usual)?.min(self.end)),
            Some(days) => match after(now, days)? {
                until if until > self.end => Err(CertificateError::OutlivesAuthority { days, end: self.end }),
                until => Ok(until),
            },
        }
    }

    /// Makes a key and signs an end certificate for it.
    pub(crate) fn issue(
        &self,
        name: &str,
        purpose: &Purpose,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Made, CertificateError> {
        let key = new_key()?;
        let mut params = params(name, now, until)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose.usage.clone()];
        params.subject_alt_names = purpose.names.clone();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(CertificateError::Sign)?;
        Ok(Made { certificate: certificate.pem(), key: key.serialize_pem(), until })
    }
}

fn params(name: &str, now: Timestamp, until: Timestamp) -> Result<CertificateParams, CertificateError> {
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX || name.chars().any(char::is_control) {
        return Err(CertificateError::Name { name: name.to_owned() });
    }
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name;
    params.serial_number = Some(random_serial()?);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(now - BACKDATE);
    params.not_after = epoch + since_epoch(until);
    Ok(params)
}

fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0))
}

fn after(now: Timestamp, days: u32) -> Result<Timestamp, CertificateError> {
    let seconds = i64::from(days) * 86_400 + now.as_second();
    Timestamp::from_second(seconds).map_err(|_| CertificateError::OutOfRange { days })
}

fn new_key() -> Result<KeyPair, CertificateError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CertificateError::Sign)
}

/// 126 random bits; the two bits set here keep the number positive and of constant length.
fn random_serial() -> Result<SerialNumber, CertificateError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(CertificateError::Random)?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn server_name(name: &str) -> Result<SanType, CertificateError> {
    let fault = || CertificateError::Server { name: name.to_owned() };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    if !is_host_name(name) {
        return Err(fault());
    }
    Ok(SanType::DnsName(name.try_into().map_err(|_| fault())?))
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numbers_only = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    name.len() <= 253 && !numbers_only && name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
}

fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let scheme_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    uri.len() <= URI_MAX
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(scheme_letter)
        && !rest.is_empty()
        && rest
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
}
