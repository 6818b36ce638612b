//! Certificates: the agent's own, its root, and those of clients that lie beside the root.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Finding, Patient, failure, warning, well};

/// Long enough to renew at leisure.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 21);

pub(super) fn all(patient: &Patient) -> Finding {
    let config = match patient.config() {
        Ok(config) => config,
        Err(not_looked) => return not_looked.into(),
    };
    let own = [&config.panel.certificate, &config.panel.client_ca, &config.gateway.certificate];
    let mut paths: BTreeSet<PathBuf> = own.into_iter().cloned().collect();
    let beside = config.panel.client_ca.parent().and_then(|directory| std::fs::read_dir(directory).ok());
    let beside = beside.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    paths.extend(beside.filter(|path| path.extension().is_some_and(|extension| extension == "pem")));
    let findings: Vec<_> = paths.iter().map(|path| look_at(path, patient.now)).collect();
    match Finding::worst_of(findings) {
        Finding::Well(_) => well(format!("{} certificates, good for at least three weeks", paths.len())),
        worse => worse,
    }
}

/// How long all certificates of a file are good.
pub(super) fn look_at(path: &Path, now: Timestamp) -> Finding {
    let name = path.display();
    let Ok(chain) = CertificateDer::pem_file_iter(path).map(|found| found.collect::<Result<Vec<_>, _>>()) else {
        return failure(format!("{name} cannot be read"), "run this as root, or put the certificate there");
    };
    let chain = chain.unwrap_or_default();
    if chain.is_empty() {
        return failure(format!("{name} holds no certificate"), "put the certificate there");
    }
    Finding::worst_of(chain.iter().map(|der| match X509Certificate::from_der(der) {
        Ok((_, certificate)) => {
            let moment = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
            let validity = certificate.validity();
            judge(
                &name.to_string(),
                moment(validity.not_before.timestamp()),
                moment(validity.not_after.timestamp()),
                now,
            )
        }
        Err(_) => failure(format!("{name} is damaged"), "put the certificate there again"),
    }))
}

fn judge(name: &str, from: Timestamp, to: Timestamp, now: Timestamp) -> Finding {
    let renew = "latchkey pki issue --help";
    if to <= now {
        failure(format!("{name} expired at {to}"), renew)
    } else if from > now {
        failure(format!("{name} is valid only from {from} on"), "set the clock, or issue it again")
    } else if to.duration_since(now) < SOON {
        warning(format!("{name} expires at {to}"), renew)
    } else {
        well(format!("{name} until {to}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn an_expired_an_early_and_a_soon_expired_certificate_are_told_apart() {
        let day = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        assert!(matches!(judge("c", day(1), day(100), day(50)), Finding::Well(_)));
        assert!(matches!(judge("c", day(1), day(100), day(80)), Finding::Warning { .. }));
        assert!(matches!(judge("c", day(1), day(100), day(100)), Finding::Failure { .. }));
        assert!(matches!(judge("c", day(60), day(100), day(50)), Finding::Failure { .. }));
    }

    #[test]
    fn a_file_without_a_certificate_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pem");
        assert!(matches!(look_at(&path, Timestamp::UNIX_EPOCH), Finding::Failure { .. }));
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(look_at(&path, Timestamp::UNIX_EPOCH), Finding::Failure { .. }));
        let made = rcgen::generate_simple_self_signed(["x.example".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        assert!(matches!(look_at(&path, Clock::default().now()), Finding::Well(_)));
        assert!(matches!(look_at(&path, Timestamp::MAX), Finding::Failure { .. }));
    }
}
