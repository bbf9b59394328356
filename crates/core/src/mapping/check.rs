//! What an expression may say, checked when it is stored: known names and functions only, one loop at most.

use std::collections::BTreeSet;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr},
};

use super::{ast, functions};

/// What the checks learn about an expression.
#[derive(Debug, Default)]
pub struct Facts {
    /// The attributes of `account` that it reads.
    pub account_attributes: BTreeSet<String>,
    pub uses_links: bool,
    pub depth: usize,
}

/// What is wrong, and the expression at fault.
#[derive(Debug)]
pub struct Fault {
    pub expression_id: u64,
    pub message: String,
}

/// Checks a parsed expression that may use these variables. Recursive: call it where the stack is large.
pub fn check(root: &IdedExpr, variables: &[&str]) -> Result<Facts, Fault> {
    let mut walk = Walk { variables, bound: Vec::new(), loops: 0, facts: Facts::default() };
    walk.visit(root)?;
    Ok(Facts { depth: ast::depth(root), ..walk.facts })
}

struct Walk<'a> {
    variables: &'a [&'a str],
    /// Variables of the loops around the current expression.
    bound: Vec<&'a str>,
    loops: usize,
    facts: Facts,
}

fn fault<T>(expression: &IdedExpr, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { expression_id: expression.id, message: message.into() })
}

impl<'a> Walk<'a> {
    fn visit(&mut self, expression: &'a IdedExpr) -> Result<(), Fault> {
        match &expression.expr {
            Expr::Ident(name) => self.ident(expression, name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(expression, call),
            Expr::Comprehension(comprehension) => self.comprehension(expression, comprehension),
            Expr::Struct(_) => fault(expression, "messages cannot be made here"),
            Expr::Unspecified => fault(expression, "an expression is missing"),
            Expr::Literal(_) => Ok(()),
            Expr::List(_) | Expr::Map(_) => self.visit_all(ast::children(expression)),
        }
    }

    fn visit_all(&mut self, expressions: impl IntoIterator<Item = &'a IdedExpr>) -> Result<(), Fault> {
        expressions.into_iter().try_for_each(|expression| self.visit(expression))
    }

    fn ident(&mut self, expression: &IdedExpr, name: &str) -> Result<(), Fault> {
        // The parser's own accumulators begin with @, which nobody can write.
        if name.starts_with('@') || self.bound.contains(&name) {
            return Ok(());
        }
        if !self.variables.contains(&name) {
            let known = self.variables.join(", ");
            return fault(expression, format!("there is no {name} here; known: {known}"));
        }
        match name {
            "account" => fault(expression, "account is read as account.name or account['name'] only"),
            "links" => {
                self.facts.uses_links = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn select(&mut self, select: &'a SelectExpr) -> Result<(), Fault> {
        if self.is_account(&select.operand) {
            self.facts.account_attributes.insert(select.field.clone());
            return Ok(());
        }
        self.visit(&select.operand)
    }

    fn call(&mut self, expression: &'a IdedExpr, call: &'a CallExpr) -> Result<(), Fault> {
        if let ([operand, index], true) = (call.args.as_slice(), ast::is_index(&call.func_name))
            && self.is_account(operand)
        {
            let Expr::Literal(LiteralValue::String(name)) = &index.expr else {
                return fault(index, "an account's attribute is named by a literal text");
            };
            self.facts.account_attributes.insert(name.inner().to_owned());
            return Ok(());
        }
        if !functions::is_known(&call.func_name) {
            let name = &call.func_name;
            return fault(expression, format!("there is no function {name}; docs/mapping.md lists them"));
        }
        self.visit_all(ast::children(expression))
    }

    fn comprehension(&mut self, expression: &IdedExpr, loop_: &'a ComprehensionExpr) -> Result<(), Fault> {
        self.loops += 1;
        if self.loops > 1 {
            return fault(expression, "at most one of all, exists, exists_one, filter and map");
        }
        self.visit_all([&loop_.iter_range, &loop_.accu_init])?;
        let outside = self.bound.len();
        self.bound.extend([&loop_.iter_var, &loop_.accu_var].map(String::as_str));
        self.visit_all([&loop_.loop_cond, &loop_.loop_step, &loop_.result])?;
        self.bound.truncate(outside);
        Ok(())
    }

    fn is_account(&self, expression: &IdedExpr) -> bool {
        let is_named_so = matches!(&expression.expr, Expr::Ident(name) if name == "account");
        is_named_so && self.variables.contains(&"account") && !self.bound.contains(&"account")
    }
}
