//! The scripts that there are: those inside the binary and those in the home folder, compiled once and again when a
//! file changes.

use super::compile::{Compiled, compile};
use super::pool::Pool;
use super::{Problem, Script, ScriptError, Settings, engine};
use crate::model::ScriptName;
use crate::script::call::{Answer, current};
use include_dir::{Dir, include_dir};
use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scripts");

/// The script that runs where none is named, and the base of all others.
const BASE: &str = "OAuthUtil";

/// The scripts, compiled. Clones share them.
#[derive(Clone)]
pub struct Scripts(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    files: Arc<Files>,
    base: Arc<Compiled>,
    pool: Pool,
    settings: Settings,
}

/// Where a script comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Inside the binary.
    Shipped,
    /// Handed in as a text.
    Given,
    /// A file in the home folder.
    File(PathBuf),
}

/// What is known of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptInfo {
    /// Its name.
    pub name: ScriptName,
    /// Where it comes from.
    pub origin: Origin,
    /// The hooks that it defines, in the order in which they run; the others are `OAuthUtil`'s.
    pub hooks: Vec<&'static str>,
    /// Why the file as it is now does not run. Where an earlier one compiled, that one still does.
    pub problem: Option<Problem>,
}

impl Scripts {
    /// Opens the shipped scripts and those of a folder. A file that does not compile, or whose name is none of a script,
    /// is a problem in the lists and no error.
    pub fn open(folder: Option<&Path>, settings: Settings) -> Result<Self, ScriptError> {
        Self::with_given(folder, Vec::new(), settings)
    }

    /// The same, with scripts by their text that go before all others.
    pub fn with_given(
        folder: Option<&Path>,
        given: Vec<(ScriptName, String)>,
        settings: Settings,
    ) -> Result<Self, ScriptError> {
        let settings = settings.checked()?;
        let scripts = Self::on(Pool::start(&settings)?, folder, given, settings)?;
        for problem in scripts.problems()? {
            tracing::warn!("{problem}");
        }
        Ok(scripts)
    }

    /// Scripts by their text beside the shipped ones, whose hooks run in the thread that asks for them: for simulations.
    #[cfg(feature = "demo")]
    pub fn inline(given: Vec<(ScriptName, String)>) -> Result<Self, ScriptError> {
        Self::on(Pool::inline(), None, given, Settings::default())
    }

    fn on(
        pool: Pool,
        folder: Option<&Path>,
        given: Vec<(ScriptName, String)>,
        settings: Settings,
    ) -> Result<Self, ScriptError> {
        let files = Arc::new(Files {
            folder: folder.map(Path::to_owned),
            given: given.into_iter().map(|(name, text)| (name, text.into())).collect(),
            source_size: settings.source_size,
            loaded: Mutex::default(),
        });
        let engine = Arc::new(engine::build(&settings, Imports(Arc::clone(&files))));
        let base: ScriptName = BASE.parse().map_err(|_| shipped_problem("OAuthUtil is no script name"))?;
        let base = files.get(&engine, &base)?;
        Ok(Self(Arc::new(Inner { engine, files, base, pool, settings })))
    }

    /// A script by name; none is `OAuthUtil`. A file that has changed is compiled again first.
    pub fn get(&self, name: Option<&ScriptName>) -> Result<Script, ScriptError> {
        let compiled = match name {
            None => Arc::clone(&self.0.base),
            Some(name) => self.0.files.get(&self.0.engine, name)?,
        };
        Ok(Script::new(self.clone(), compiled))
    }

    /// Every script, shipped or in the folder as it is now, by name.
    pub fn list(&self) -> Result<Vec<ScriptInfo>, ScriptError> {
        let names = self.0.files.names()?;
        Ok(names.into_iter().map(|name| self.0.files.info(&self.0.engine, &name)).collect())
    }

    /// Every problem of the folder as it is now: scripts that do not compile, files whose name is refused.
    pub fn problems(&self) -> Result<Vec<Problem>, ScriptError> {
        let mut problems = self.0.files.refused()?;
        problems.extend(self.list()?.into_iter().filter_map(|info| info.problem));
        Ok(problems)
    }

    /// Compiles a script as it is now.
    pub fn check(&self, name: &ScriptName) -> Result<ScriptInfo, ScriptError> {
        self.0.files.get(&self.0.engine, name)?;
        let info = self.0.files.info(&self.0.engine, name);
        match info.problem {
            Some(problem) => Err(ScriptError::Problem(problem.into())),
            None => Ok(info),
        }
    }

    /// The text of a script as it is now, whether it compiles or not.
    pub fn text(&self, name: &ScriptName) -> Result<String, ScriptError> {
        match self.0.files.find(name) {
            Some(Source::Shipped(text)) => Ok(text.to_owned()),
            Some(Source::Given(text)) => Ok(text.to_string()),
            Some(Source::File { path, .. }) => {
                read_source(&path, self.0.settings.source_size).map_err(ScriptError::Problem)
            }
            None => {
                let known = self.0.files.names()?.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                Err(ScriptError::Unknown { name: name.clone(), known })
            }
        }
    }

    /// Compiles a file anywhere, without taking it into use.
    pub fn check_file(&self, path: &Path) -> Result<ScriptInfo, Problem> {
        let name = name_of_file(path)?;
        let source = read_source(path, self.0.settings.source_size).map_err(|problem| *problem)?;
        let compiled =
            compile(&self.0.engine, &name, &path.display().to_string(), &source).map_err(|problem| *problem)?;
        Ok(ScriptInfo { name, origin: Origin::File(path.to_owned()), hooks: compiled.hook_names(), problem: None })
    }

    /// Compiles a text that is in no file, without taking it into use.
    pub fn check_text(&self, name: &ScriptName, text: &str) -> Result<ScriptInfo, Problem> {
        let compiled = self.compiled(name, text)?;
        Ok(ScriptInfo { name: name.clone(), origin: Origin::Given, hooks: compiled.hook_names(), problem: None })
    }

    /// A script of a text that is in no file: to try it before it is saved.
    pub fn of_text(&self, name: &ScriptName, text: &str) -> Result<Script, Problem> {
        Ok(Script::new(self.clone(), Arc::new(self.compiled(name, text)?)))
    }

    fn compiled(&self, name: &ScriptName, text: &str) -> Result<Compiled, Problem> {
        let most = self.0.settings.source_size;
        let shown = format!("{name}.rhai");
        if text.len() > most {
            return Err(whole_file(Path::new(&shown), &format!("is longer than {most} bytes; a script may not be")));
        }
        compile(&self.0.engine, name, &shown, text).map_err(|problem| *problem)
    }

    /// The text that a new script starts from.
    #[must_use]
    pub fn template(name: &ScriptName) -> String {
        TEMPLATE.replace("{name}", name.as_str())
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    pub(super) fn base(&self) -> &Arc<Compiled> {
        &self.0.base
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripts").field("folder", &self.0.files.folder).finish_non_exhaustive()
    }
}

/// The files, and what was made of them.
struct Files {
    folder: Option<PathBuf>,
    given: HashMap<ScriptName, Arc<str>>,
    source_size: usize,
    loaded: Mutex<HashMap<ScriptName, Loaded>>,
}

/// The last look at one script.
#[derive(Default)]
struct Loaded {
    seen: Option<Seen>,
    hash: Option<[u8; 32]>,
    /// The last that compiled.
    good: Option<Arc<Compiled>>,
    problem: Option<Problem>,
}

impl Files {
    /// The script as it is now, or the last good one.
    fn get(&self, engine: &Engine, name: &ScriptName) -> Result<Arc<Compiled>, ScriptError> {
        let mut all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(source) = self.find(name) else {
            all.remove(name);
            // A folder that cannot be read is told of by `list`.
            let known: Vec<String> = self.names().unwrap_or_default().iter().map(ToString::to_string).collect();
            return Err(ScriptError::Unknown { name: name.clone(), known: known.join(", ") });
        };
        let loaded = all.entry(name.clone()).or_default();
        loaded.refresh(engine, name, &source, self.source_size);
        match (&loaded.good, &loaded.problem) {
            (Some(good), _) => Ok(Arc::clone(good)),
            (None, Some(problem)) => Err(ScriptError::Problem(problem.clone().into())),
            (None, None) => Err(ScriptError::Unknown { name: name.clone(), known: String::new() }),
        }
    }

    fn info(&self, engine: &Engine, name: &ScriptName) -> ScriptInfo {
        // Its problem is told in the info itself.
        let _ = self.get(engine, name);
        let all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = all.get(name);
        let origin = match self.find(name) {
            Some(Source::File { path, .. }) => Origin::File(path),
            Some(Source::Given(_)) => Origin::Given,
            Some(Source::Shipped(_)) | None => Origin::Shipped,
        };
        ScriptInfo {
            name: name.clone(),
            origin,
            hooks: loaded.and_then(|loaded| loaded.good.as_ref()).map(|good| good.hook_names()).unwrap_or_default(),
            problem: loaded.and_then(|loaded| loaded.problem.clone()),
        }
    }

    /// A script that was handed in goes before a file of the folder, and that before a shipped script of the same name;
    /// `OAuthUtil` is always the shipped one.
    fn find(&self, name: &ScriptName) -> Option<Source> {
        let file = format!("{name}.rhai");
        if name.as_str() != BASE
            && let Some(text) = self.given.get(name)
        {
            return Some(Source::Given(Arc::clone(text)));
        }
        if name.as_str() != BASE
            && let Some(path) = self.folder.as_ref().map(|folder| folder.join(&file))
            && let Ok(meta) = path.metadata()
            && meta.is_file()
        {
            return Some(Source::File { path, seen: meta.modified().ok().map(|time| Seen::File(time, meta.len())) });
        }
        SHIPPED.get_file(&file).and_then(|file| file.contents_utf8()).map(Source::Shipped)
    }

    fn names(&self) -> Result<Vec<ScriptName>, ScriptError> {
        let shipped = SHIPPED.files().filter_map(|file| name_of_file(file.path()).ok());
        let mut names: Vec<ScriptName> = shipped.collect();
        names.extend(self.given.keys().cloned());
        names.extend(self.paths()?.iter().filter_map(|path| name_of_file(path).ok()));
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn refused(&self) -> Result<Vec<Problem>, ScriptError> {
        let paths = self.paths()?;
        let base = format!("{BASE}.rhai");
        Ok(paths
            .iter()
            .filter_map(|path| match name_of_file(path) {
                Err(problem) => Some(problem),
                Ok(_) if path.file_name().is_some_and(|name| *name == *base) => Some(whole_file(
                    path,
                    "OAuthUtil is the shipped base of all scripts and cannot be replaced; give your copy another name and name that in the application",
                )),
                Ok(_) => None,
            })
            .collect())
    }

    /// The `.rhai` files of the folder.
    fn paths(&self) -> Result<Vec<PathBuf>, ScriptError> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let failed = |source| ScriptError::Folder { path: folder.clone(), source };
        let mut paths = Vec::new();
        for entry in folder.read_dir().map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "rhai") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }
}

enum Source {
    Shipped(&'static str),
    Given(Arc<str>),
    File { path: PathBuf, seen: Option<Seen> },
}

/// What is compared before a source is read again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Unchanging,
    File(SystemTime, u64),
}

impl Loaded {
    /// Compiles again where the source is another than at the last look.
    fn refresh(&mut self, engine: &Engine, name: &ScriptName, source: &Source, source_size: usize) {
        let seen = match source {
            Source::Shipped(_) | Source::Given(_) => Some(Seen::Unchanging),
            Source::File { seen, .. } => *seen,
        };
        if seen.is_some() && self.seen == seen {
            return;
        }
        self.seen = seen;
        let (label, text) = match source {
            Source::Shipped(text) => (format!("shipped {name}"), Ok((*text).to_owned())),
            Source::Given(text) => (format!("{name} as it was given"), Ok(text.to_string())),
            Source::File { path, .. } => (path.display().to_string(), read_source(path, source_size)),
        };
        let compiled = text.and_then(|text| {
            let hash = Sha256::digest(&text).into();
            if self.hash.replace(hash) == Some(hash) {
                Ok(None)
            } else {
                compile(engine, name, &label, &text).map(Some)
            }
        });
        match compiled {
            Ok(None) => {}
            Ok(Some(compiled)) => {
                self.good = Some(Arc::new(compiled));
                self.problem = None;
            }
            Err(problem) => {
                let kept = if self.good.is_some() { "; the last good one stays in force" } else { "" };
                tracing::warn!("{problem}{kept}");
                self.problem = Some(*problem);
            }
        }
    }
}

/// Finds the scripts that scripts import: OAuth scripts by name, never a path.
struct Imports(Arc<Files>);

impl ModuleResolver for Imports {
    fn resolve(&self, engine: &Engine, _: Option<&str>, path: &str, at: Position) -> Answer<Shared<Module>> {
        let none = || Box::new(EvalAltResult::ErrorModuleNotFound(path.chars().take(80).collect(), at));
        let name: ScriptName = path.parse().map_err(|_| none())?;
        let compiled = self.0.get(engine, &name).map_err(|problem| match problem {
            ScriptError::Unknown { .. } => none(),
            other => EvalAltResult::ErrorRuntime(format!("{name} cannot be imported: {other}").into(), at).into(),
        })?;
        let call = current()?;
        call.begin_import()?;
        // Made anew for each hook: nothing of one call stays for the next.
        let module = Module::eval_ast_as_new(Scope::new(), &compiled.ast, engine);
        call.end_import();
        Ok(module?.into())
    }
}

fn name_of_file(path: &Path) -> Result<ScriptName, Problem> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    stem.parse().map_err(|refused: crate::model::NameError| whole_file(path, &refused.to_string()))
}

fn whole_file(path: &Path, message: &str) -> Problem {
    let file = path.display().to_string();
    Problem { file, line: None, column: None, message: message.to_owned(), source_line: None }
}

fn shipped_problem(message: &str) -> ScriptError {
    ScriptError::Problem(whole_file(Path::new("shipped OAuthUtil"), message).into())
}

/// A file's text, read no further than scripts may be long.
fn read_source(path: &Path, most: usize) -> Result<String, Box<Problem>> {
    let refuse = |message: String| Box::new(whole_file(path, &message));
    let file = File::open(path).map_err(|cause| refuse(format!("cannot be read: {cause}")))?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|cause| refuse(format!("cannot be read: {cause}")))?;
    if bytes.len() > most {
        return Err(refuse(format!("is longer than {most} bytes; a script may not be")));
    }
    String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8 text".to_owned()))
}

const TEMPLATE: &str = r#"// {name}: an OAuth API script. Keep the hooks that you need and delete the rest: a hook that is not here is
// OAuthUtil's. `grantkeeper script check {name}` compiles it; docs/scripts.md lists every object and helper.

// Before the person is sent to the provider: what stands in the authorization URL.
fn preprocessAuthCode(requestParamMap) {
    // requestParamMap.put('access_type', 'offline');
}

// When the browser comes back: fields to keep, and where the code is if it is not in `code`.
fn postprocessAuthCode(callbackParamMap) {
    // this.oauthContext.getConnection().put('shop', callbackParamMap.get('shop'));
}

// Before every token request, a refresh included.
fn preprocessAccessToken(requestParamMap) {
    // if this.oauthContext.getGrantType() == 'refresh_token' {
    //     requestParamMap.remove('scope');
    // }
}

// After every token reply. What Grantkeeper read by itself already stands in getparameters().
fn postprocessAccessToken(accessTokenResponse) {
    // let paramMap = accessTokenResponse.getparameters();
    // let reply = parse_json(accessTokenResponse.getBody());
    // paramMap.put('access_token', reply.data.access_token);
}
"#;
