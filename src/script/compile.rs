//! From a script's source to what can be run: its hooks apart from its other functions, and refusals with a line.

use super::{Problem, dialect};
use crate::model::ScriptName;
use rhai::{
    AST, ASTNode, Engine, Expr, ImmutableString, Module, ParseError, Position, Scope, ScriptFuncDef, Shared, Stmt,
};
use std::collections::BTreeMap;

/// A hook: a function with a known name and one parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hook {
    PreprocessAuthCode,
    PostprocessAuthCode,
    InterceptRequestParameters,
    PreprocessAccessToken,
    ParseTokenResponse,
    PostprocessAccessToken,
    PreprocessRevokeToken,
    ClassifyError,
}

impl Hook {
    /// In the order in which an authorization code grant meets them.
    pub(super) const ALL: [Self; 8] = [
        Self::PreprocessAuthCode,
        Self::PostprocessAuthCode,
        Self::InterceptRequestParameters,
        Self::PreprocessAccessToken,
        Self::ParseTokenResponse,
        Self::PostprocessAccessToken,
        Self::ClassifyError,
        Self::PreprocessRevokeToken,
    ];

    /// The name of its function.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::PreprocessAuthCode => "preprocessAuthCode",
            Self::PostprocessAuthCode => "postprocessAuthCode",
            Self::InterceptRequestParameters => "interceptRequestParameters",
            Self::PreprocessAccessToken => "preprocessAccessToken",
            Self::ParseTokenResponse => "parseTokenResponse",
            Self::PostprocessAccessToken => "postprocessAccessToken",
            Self::PreprocessRevokeToken => "preprocessRevokeToken",
            Self::ClassifyError => "classifyError",
        }
    }

    /// The hook of a name, in exactly its letters.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.as_str() == name)
    }

    /// What ServiceNow calls its parameter.
    pub(super) fn parameter(self) -> &'static str {
        match self {
            Self::PostprocessAuthCode => "callbackParamMap",
            Self::ParseTokenResponse | Self::PostprocessAccessToken | Self::ClassifyError => "accessTokenResponse",
            Self::PreprocessAuthCode
            | Self::InterceptRequestParameters
            | Self::PreprocessAccessToken
            | Self::PreprocessRevokeToken => "requestParamMap",
        }
    }
}

/// A script, compiled.
pub(super) struct Compiled {
    pub(super) name: ScriptName,
    /// Imports and constants: what stands outside functions.
    pub(super) top: Vec<Stmt>,
    /// Functions that are not hooks. Hooks are kept out, so that `this.hook(…)` is always dispatched by us, virtually.
    pub(super) functions: Shared<Module>,
    hooks: BTreeMap<Hook, Body>,
    /// The whole, for a script that imports this one.
    pub(super) ast: AST,
}

/// What a hook does.
pub(super) struct Body {
    pub(super) parameter: ImmutableString,
    pub(super) statements: Vec<Stmt>,
}

impl Compiled {
    /// A hook that the script defines.
    pub(super) fn hook(&self, hook: Hook) -> Option<&Body> {
        self.hooks.get(&hook)
    }

    /// The names of the hooks that it defines, in the order in which they run.
    pub(super) fn hook_names(&self) -> Vec<&'static str> {
        Hook::ALL.into_iter().filter(|hook| self.hooks.contains_key(hook)).map(Hook::as_str).collect()
    }
}

/// Compiles a source. `file` is what problems call it.
pub(super) fn compile(engine: &Engine, name: &ScriptName, file: &str, source: &str) -> Result<Compiled, Box<Problem>> {
    let source = &*dialect::with_empty_texts(source.strip_prefix('\u{feff}').unwrap_or(source));
    let problem = |message: String, position: Position| Box::new(at(file, source, message, position));
    // Variables must be defined before they are used; `this` is the one that the engine resolves.
    let mut known = Scope::new();
    known.push_constant("this", ());
    let mut ast =
        engine.compile_with_scope(&known, source).map_err(|error| problem(parse_message(&error), error.position()))?;
    ast.set_source(name.as_str());
    if let Some(statement) = ast.statements().iter().find(|statement| !may_stand_outside(statement)) {
        let message = "only functions, imports of other OAuth scripts and constants may stand outside functions; move this into a hook";
        return Err(problem(message.to_owned(), statement.position()));
    }
    let mut hooks = BTreeMap::new();
    let mut functions = Module::new();
    // Rhai keeps `global::X` only where there are functions, and hooks are not among these: never an empty module.
    functions.set_var("OAuthScript", ());
    for (.., function) in ast.shared_lib().iter_script_fn_info() {
        let (statements, position) = body_of(function);
        if let Some(hook) = Hook::named(&function.name) {
            let [parameter] = function.params.as_slice() else {
                let message = format!("{}({}) takes exactly this one parameter", hook.as_str(), hook.parameter());
                return Err(problem(message, position));
            };
            hooks.insert(hook, Body { parameter: parameter.clone(), statements });
        } else if let Some(hook) = Hook::ALL.into_iter().find(|hook| is_misspelled(&function.name, hook.as_str())) {
            let message = format!("{} would never be called; the hook is spelled {}", function.name, hook.as_str());
            return Err(problem(message, position));
        } else {
            functions.set_script_fn(Shared::clone(function));
        }
    }
    let top = ast.statements().to_vec();
    Ok(Compiled { name: name.clone(), top, functions: functions.into(), hooks, ast })
}

/// Whether a function's name is a hook's but for a slip: other case, or a letter or two. A name that goes on behind a
/// hook's is a helper's own.
fn is_misspelled(name: &str, hook: &str) -> bool {
    name.eq_ignore_ascii_case(hook) || (!name.starts_with(hook) && strsim::osa_distance(name, hook) <= 2)
}

/// A problem at a place of a source.
pub(super) fn at(file: &str, source: &str, message: String, position: Position) -> Problem {
    let line = position.line();
    let source_line = line
        .and_then(|line| source.lines().nth(line - 1))
        .map(|text| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect());
    Problem { file: file.to_owned(), line, column: position.position(), message, source_line }
}

/// Rhai's message without the place, which is told apart.
fn parse_message(error: &ParseError) -> String {
    let text = error.err_type().to_string();
    if text.contains("'curry'") || text.contains("'eval'") {
        return format!("{text}: scripts have no eval and no curry");
    }
    match AS_JAVASCRIPT.iter().find(|(said, _)| text.starts_with(said)) {
        Some((_, here)) => format!("{text}; {here}"),
        None => text,
    }
}

/// What the compiler says of JavaScript that is none here, and how it is written here (docs/servicenow.md).
const AS_JAVASCRIPT: [(&str, &str); 8] = [
    ("Undefined variable: JSON", "JSON.parse(x) is parse_json(x) here, and JSON.stringify(x) is to_json(x)"),
    ("Undefined variable: gs", "gs.info(x) is log(x) here"),
    (
        "Undefined variable: Class",
        "there are no classes here: leave Class.create and the prototype out, and write each function as `fn name(x) { … }`",
    ),
    ("Undefined variable: Object", "there are no prototypes here: write each function as `fn name(x) { … }`"),
    ("Expecting name of a variable", "`for (var key in map)` is `for key in map.keys()` here"),
    ("Unexpected ','", "there are no commas between functions here"),
    ("'new' is a reserved keyword", "there is no `new` here: a map is `#{}`, a list is `[]`"),
    (
        "'function' is a reserved keyword",
        "`name: function(x) { … }` is `fn name(x) { … }` here, outside of every other function",
    ),
];

/// Statements outside functions run before each hook, so they may only be what costs and does nothing by itself.
fn may_stand_outside(statement: &Stmt) -> bool {
    match statement {
        Stmt::Noop(..) | Stmt::Export(..) => true,
        Stmt::Import(import, ..) => matches!(import.0, Expr::StringConstant(..)),
        Stmt::Var(definition, ..) => definition.1.is_constant(),
        _ => false,
    }
}

/// The statements of a function: Rhai shows them only through a walk over a tree, so this walks a tree of that one
/// function and takes the nodes that have no parent.
fn body_of(function: &Shared<ScriptFuncDef>) -> (Vec<Stmt>, Position) {
    let mut alone = Module::new();
    alone.set_script_fn(Shared::clone(function));
    let mut statements = Vec::new();
    AST::new([], alone).walk(&mut |path: &[ASTNode<'_>]| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    (statements, function.body.start_position())
}
