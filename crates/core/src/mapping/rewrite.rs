//! What is changed in a parsed expression before it runs, so that attributes with none, one or several values behave.
//!
//! - `has(identity.mail)` becomes `identity.mail != null`: an absent attribute is null.
//! - What a loop or `in` goes over becomes `@items(…)`: null is no item, a single value is one, more than
//!   [`super::MAX_ITEMS`] are refused.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, operators},
};

use super::{ast, functions::ITEMS};

/// Rewrites an expression in place. Recursive: call it where the stack is large.
pub fn rewrite(expression: &mut IdedExpr) {
    for child in ast::children_mut(expression) {
        rewrite(child);
    }
    let id = expression.id;
    match &mut expression.expr {
        Expr::Comprehension(comprehension) => wrap_in_items(&mut comprehension.iter_range),
        Expr::Call(call) if call.func_name == operators::IN => {
            call.args.get_mut(1).into_iter().for_each(wrap_in_items);
        }
        Expr::Select(select) if select.test && is_attribute(&select.operand) => {
            select.test = false;
            let path = IdedExpr { id, expr: std::mem::take(&mut expression.expr) };
            let null = IdedExpr { id, expr: Expr::Literal(LiteralValue::Null) };
            expression.expr = call(operators::NOT_EQUALS, vec![path, null]);
        }
        Expr::Select(_)
        | Expr::Call(_)
        | Expr::Unspecified
        | Expr::Ident(_)
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Struct(_) => {}
    }
}

fn wrap_in_items(expression: &mut IdedExpr) {
    let inner = std::mem::take(expression);
    *expression = IdedExpr { id: inner.id, expr: call(ITEMS, vec![inner]) };
}

fn call(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args })
}

fn is_attribute(operand: &IdedExpr) -> bool {
    matches!(ast::root(operand), Some("identity" | "account" | "links"))
}
