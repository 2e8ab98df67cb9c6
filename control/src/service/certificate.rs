//! The DTLS certificate on disk: fingerprints handed out must outlive this process.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use weirgate_dtls::{Certificate, DtlsError};

const FILE_NAME: &str = "dtls.pem";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read or written.
    #[error("cannot use the DTLS certificate file {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// The file holds something else.
    #[error(
        "the DTLS certificate file {} is broken: {error}; remove it to have a new one made",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: DtlsError,
    },
    /// The crypto library fails.
    #[error("cannot make a DTLS certificate: {0}")]
    Making(#[from] DtlsError),
}

/// The certificate in `folder`; made, and kept with mode 0600, where there is none.
///
/// # Errors
/// [`CertificateError`], one line that says what to do.
pub fn load_or_make(folder: &Path) -> Result<Certificate, CertificateError> {
    let path = folder.join(FILE_NAME);
    let failed = |error| CertificateError::File {
        path: path.clone(),
        error,
    };
    match fs::read(&path) {
        Ok(pem) => {
            // A copy from elsewhere may have come with other rights.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
            Certificate::from_pem(&pem).map_err(|error| CertificateError::Broken {
                path: path.clone(),
                error,
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let certificate = Certificate::generate()?;
            let pem = certificate.to_pem()?;
            write_whole(&path, &pem).map_err(failed)?;
            Ok(certificate)
        }
        Err(error) => Err(failed(error)),
    }
}

/// A crash in between must not leave half a file.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("pem.new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_certificate_comes_back_and_only_we_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = load_or_make(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE_NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = load_or_make(dir.path()).unwrap();
        assert_eq!(made.fingerprints(), read.fingerprints());
    }

    #[test]
    fn a_broken_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "nonsense").unwrap();
        let error = load_or_make(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains(FILE_NAME) && error.contains("remove it"),
            "{error}"
        );
    }
}
