//! The daemon's own certificate.

use super::door::PortError;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Speaks TLS 1.2 and 1.3 with a certificate chain and its private key, PEM files both.
pub(in crate::server) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, PortError> {
    let wrong = |path: &Path, reason: &dyn std::fmt::Display| PortError::Certificate {
        path: path.to_owned(),
        reason: format!("{reason}; it must be a PEM file"),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(certificate, &"there is no certificate in it"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| wrong(key, &format!("the certificate and this key do not go together ({error})")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
