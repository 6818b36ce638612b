//! Compiled components, each beside its digest. Compiled code is code: what is not what was written once is not run.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use super::{AdapterError, config::AdaptersConfig, runners::Uids, system};
use crate::{log, said, spawn};

/// The compiler may compute for a minute; on a node that is busy that takes longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// The cache.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    compiler: PathBuf,
    /// Held while one is compiled, so that two who come at once compile once.
    compiling: Mutex<()>,
}

impl Cache {
    /// The one of the configuration. Its directory is made when it is needed.
    pub(super) fn new(config: &AdaptersConfig) -> Self {
        Self { directory: config.cache.clone(), compiler: config.compiler.clone(), compiling: Mutex::new(()) }
    }

    /// The compiled form of a component, open for reading. Compiles it unless it is there and whole.
    ///
    /// It is kept under the digests of the component and of the compiler: another compiler makes another one.
    pub(super) fn compiled(&self, mut component: File, uids: &Uids) -> Result<File, AdapterError> {
        let key = key(&component, &self.of_compiler()?).map_err(system("read", &self.directory))?;
        let path = self.directory.join(format!("{key}.cwasm"));
        // Who only wants to run one does not wait for the compiler.
        if let Ok(file) = whole(&path) {
            return Ok(file);
        }
        let _compiling = self.compiling.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match whole(&path) {
            Ok(file) => return Ok(file),
            Err(NotWhole::Missing) => {}
            Err(NotWhole::Other) => log::warn("a compiled adapter is not what was written", &[("key", &key)]),
        }
        self.ensure_directory()?;
        component.rewind().map_err(system("read", &self.directory))?;
        self.compile(component, &path, uids)?;
        whole(&path).map_err(|_changed| AdapterError::Component)
    }

    /// Removes what is compiled of other components than these, and what another compiler made. Those that run from it
    /// have it open.
    pub(super) fn keep_only(&self, components: &[File]) -> Result<(), AdapterError> {
        let _compiling = self.compiling.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of_compiler = self.of_compiler()?;
        let kept = components.iter().map(|component| key(component, &of_compiler)).collect::<Result<BTreeSet<_>, _>>();
        let kept = kept.map_err(system("read", &self.directory))?;
        for entry in fs::read_dir(&self.directory).map_err(system("list", &self.directory))? {
            let path = entry.map_err(system("list", &self.directory))?.path();
            let is_kept = path.file_stem().and_then(OsStr::to_str).is_some_and(|stem| kept.contains(stem));
            if !is_kept {
                fs::remove_file(&path).map_err(system("remove", &path))?;
            }
        }
        Ok(())
    }

    fn of_compiler(&self) -> Result<String, AdapterError> {
        let compiler = File::open(&self.compiler).map_err(system("open", &self.compiler))?;
        digest(&compiler).map_err(system("read", &self.compiler))
    }

    fn compile(&self, component: File, path: &Path, uids: &Uids) -> Result<(), AdapterError> {
        let uid = uids.take().ok_or(AdapterError::Full(crate::slots::Full::Total))?;
        let unfinished = path.with_extension("unfinished");
        // Left over by a broker that was killed.
        let _ = fs::remove_file(&unfinished);
        let output = File::options().write(true).create_new(true).mode(0o600).open(&unfinished);
        let output = output.map_err(system("make", &unfinished))?;
        let mut command = spawn::worker(&self.compiler);
        let said = said::paper().map_err(system("hear", &self.compiler))?;
        let stderr = said.try_clone().map_err(system("hear", &self.compiler))?;
        command.args(uid.arguments()).stdin(Stdio::from(component)).stdout(Stdio::from(output)).stderr(stderr);
        let ended = spawn::run_short(command, PATIENCE, None)
            .map_err(|error| system("run", &self.compiler)(io::Error::other(error)))?;
        let Some(ended) = ended else {
            let _ = fs::remove_file(&unfinished);
            return Err(AdapterError::Compile(format!("the compiler took longer than {} s", PATIENCE.as_secs())));
        };
        if !ended.success() {
            let _ = fs::remove_file(&unfinished);
            let said = said::words(&said).map_err(system("hear", &self.compiler))?;
            return Err(AdapterError::Compile(if said.is_empty() {
                format!("the compiler ended ({ended})")
            } else {
                said
            }));
        }
        let finish = || {
            let compiled = File::open(&unfinished)?;
            compiled.set_permissions(Permissions::from_mode(0o400))?;
            let mut beside = File::create(path.with_extension("sha256"))?;
            beside.write_all(digest(&compiled)?.as_bytes())?;
            beside.sync_all()?;
            compiled.sync_all()?;
            fs::rename(&unfinished, path)
        };
        finish().map_err(system("write", path))
    }

    fn ensure_directory(&self) -> Result<(), AdapterError> {
        fs::create_dir_all(&self.directory).map_err(system("make", &self.directory))?;
        fs::set_permissions(&self.directory, Permissions::from_mode(0o700)).map_err(system("keep", &self.directory))
    }
}

enum NotWhole {
    Missing,
    Other,
}

/// Opens what was compiled if it has the digest beside it.
fn whole(path: &Path) -> Result<File, NotWhole> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NotWhole::Missing),
        Err(_) => return Err(NotWhole::Other),
    };
    let beside = fs::read_to_string(path.with_extension("sha256")).map_err(|_| NotWhole::Other)?;
    let found = digest(&file).map_err(|_| NotWhole::Other)?;
    if found != beside {
        return Err(NotWhole::Other);
    }
    file.rewind().map_err(|_| NotWhole::Other)?;
    Ok(file)
}

/// What a component is kept under.
fn key(component: &File, of_compiler: &str) -> io::Result<String> {
    Ok(format!("{}-{}", digest(component)?, of_compiler.get(..16).unwrap_or_default()))
}

/// SHA-256 as hexadecimal digits.
fn digest(mut file: &File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hasher.update(chunk.get(..read).unwrap_or_default()),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
