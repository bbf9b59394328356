//! Walking over parsed expressions.

use cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr},
};

macro_rules! children {
    ($expression:expr, $as_deref:ident, $iter:ident, $($mutable:tt)?) => {
        match &$($mutable)? $expression.expr {
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
            Expr::Call(call) => call.target.$as_deref().into_iter().chain(call.args.$iter()).collect(),
            Expr::Comprehension(comprehension) => vec![
                &$($mutable)? comprehension.iter_range,
                &$($mutable)? comprehension.accu_init,
                &$($mutable)? comprehension.loop_cond,
                &$($mutable)? comprehension.loop_step,
                &$($mutable)? comprehension.result,
            ],
            Expr::List(list) => list.elements.$iter().collect(),
            Expr::Select(select) => vec![&$($mutable)? select.operand],
            Expr::Map(map) => map.entries.$iter().flat_map(|entry| entry_children!(entry, $($mutable)?)).collect(),
            Expr::Struct(made) => made.entries.$iter().flat_map(|entry| entry_children!(entry, $($mutable)?)).collect(),
        }
    };
}

macro_rules! entry_children {
    ($entry:expr, $($mutable:tt)?) => {
        match &$($mutable)? $entry.expr {
            EntryExpr::StructField(field) => vec![&$($mutable)? field.value],
            EntryExpr::MapEntry(entry) => vec![&$($mutable)? entry.key, &$($mutable)? entry.value],
        }
    };
}

/// The expressions directly inside this one, in the order of their evaluation.
pub fn children(expression: &IdedExpr) -> Vec<&IdedExpr> {
    children!(expression, as_deref, iter,)
}

pub fn children_mut(expression: &mut IdedExpr) -> Vec<&mut IdedExpr> {
    children!(expression, as_deref_mut, iter_mut, mut)
}

/// How many expressions stand inside one another. Recursive: call it where the stack is large.
pub fn depth(expression: &IdedExpr) -> usize {
    1 + children(expression).into_iter().map(depth).max().unwrap_or_default()
}

/// The variable at the root of `a.b['c']`, if it is such a path.
pub fn root(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Ident(name) => Some(name),
        Expr::Select(select) => root(&select.operand),
        Expr::Call(call) if is_index(&call.func_name) => call.args.first().and_then(root),
        Expr::Unspecified
        | Expr::Call(_)
        | Expr::Comprehension(_)
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Struct(_) => None,
    }
}

pub fn is_index(function: &str) -> bool {
    function == cel::common::ast::operators::INDEX
}
