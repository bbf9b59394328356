//! The one root context of the process, with the function library; and the scopes inside it.

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, common::value::Val, parser::Parser};

use super::functions;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib().with_optional_support(false);
    functions::declare(&mut environment);
    Arc::new(environment)
});

static ROOT: LazyLock<Context<'static, 'static>> =
    LazyLock::new(|| Context::with_env(Arc::clone(&ENVIRONMENT)));

pub fn parser() -> Parser {
    ENVIRONMENT.parser()
}

/// A scope in which these variables have these values. Cheap: made once for each identity or account.
pub fn scope<'a, const N: usize>(variables: [(&str, Box<dyn Val + 'a>); N]) -> Context<'a, 'a> {
    let root: &'a Context<'a, 'a> = &ROOT;
    let mut scope = root.new_inner_scope();
    for (name, value) in variables {
        scope.add_variable_as_val(name, value);
    }
    scope
}
