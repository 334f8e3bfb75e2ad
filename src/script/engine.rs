//! The one engine that compiles and runs every script: Rhai from nothing up, with chosen packages, every limit set, and
//! the few liberties of grammar that let a ServiceNow script include move over line by line.

use super::call::{self, current};
use super::objects::This;
use super::weight::weigh;
use super::{Settings, builtins, dialect, helpers, objects, params};
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage, BasicStringPackage,
    LogicPackage, MoreStringPackage, Package,
};
use rhai::{Dynamic, Engine, EvalContext, ModuleResolver, OptimizationLevel};

/// Builds the engine. `resolver` finds the scripts that scripts import.
pub(super) fn build(limits: &Settings, resolver: impl ModuleResolver + 'static) -> Engine {
    // Not `Engine::new`: that can sleep, read files, print and evaluate text.
    let mut engine = Engine::new_raw();
    ArithmeticPackage::new().register_into_engine(&mut engine);
    LogicPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    BasicMathPackage::new().register_into_engine(&mut engine);
    BasicStringPackage::new().register_into_engine(&mut engine);
    MoreStringPackage::new().register_into_engine(&mut engine);
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);

    engine
        .set_max_operations(limits.operations)
        .set_max_call_levels(limits.call_depth)
        .set_max_string_size(limits.string_size)
        .set_max_array_size(limits.array_size)
        .set_max_map_size(limits.map_size)
        .set_max_expr_depths(64, 48)
        .set_max_functions(256)
        .set_max_variables(128)
        .set_max_modules(8)
        // Interned texts outlive the hook that made them; some would be tokens.
        .set_max_strings_interned(0)
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(true)
        // `curry` nests function pointers in each other, which no limit counts.
        .disable_symbol("curry")
        .disable_symbol("eval")
        .set_module_resolver(resolver);

    engine.on_progress(|_| call::tick());
    engine.on_print(helpers::log_line);
    engine.on_debug(|text, _, _| helpers::log_line(text));
    #[allow(deprecated)] // "volatile", not deprecated: pinned to this release in Cargo.toml
    {
        engine.on_parse_token(|token, _, _| dialect::as_servicenow_writes(token));
        engine.on_var(|name, _, context| resolve(name, &context));
    }

    builtins::register(&mut engine);
    params::register(&mut engine);
    objects::register(&mut engine);
    helpers::register(&mut engine);
    engine
}

/// Called at each use of a variable: gives `this`, and weighs the value of any other (see `weight`).
fn resolve(name: &str, context: &EvalContext<'_, '_, '_, '_, '_, '_>) -> call::Answer<Option<Dynamic>> {
    if name == "this" {
        return Ok(Some(Dynamic::from(This)));
    }
    let Some(value) = context.scope().get(name) else { return Ok(None) };
    if value.is_string() || value.is_array() || value.is_map() {
        current()?.charge(weigh(value).map_err(call::stop)?)?;
    }
    Ok(None)
}
