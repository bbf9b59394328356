//! One expression: compiled when it is stored, evaluated once for each identity or account.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cel::{
    Context, ExecutionError, IdedExpr, ParseError, Value,
    common::{
        ast::{Expr, SourceInfo, operators},
        types::CelBool,
    },
};

use super::{
    MAX_DEPTH, MAX_SOURCE, ast,
    check::{self, Facts},
    context, functions, rewrite, stack,
    values::{self, Outcome},
};

/// Expressions nested no deeper than this run on any stack.
const SHALLOW: usize = 24;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    parsed: IdedExpr,
    source: SourceInfo,
    is_deep: bool,
}

/// Why an evaluation yielded nothing: what went wrong, and where. Never holds a value of the identity or account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    pub position: Option<Position>,
}

/// Line and column, from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Expression {
    /// Parses and checks `source`, which may use these variables. The error says what was expected, and where.
    pub fn compile(source: &str, variables: &[&str]) -> Result<(Self, Facts), Failure> {
        if source.len() > MAX_SOURCE {
            let message = format!("at most {MAX_SOURCE} bytes, not {}", source.len());
            return Err(Failure::without_position(message));
        }
        stack::run(|| {
            let compiled = catch_unwind(AssertUnwindSafe(|| compile_here(source, variables)));
            compiled.unwrap_or_else(|_| Err(Failure::without_position("not an expression")))
        })
    }

    /// Evaluates it where the scope gives its variables their values.
    pub fn evaluate(&self, scope: &Context<'_, '_>) -> Result<Outcome, Failure> {
        if self.is_deep { stack::run(|| self.evaluate_here(scope)) } else { self.evaluate_here(scope) }
    }

    /// Evaluates a predicate; null is false.
    pub fn is_true(&self, scope: &Context<'_, '_>) -> Result<bool, Failure> {
        match self.evaluate(scope)? {
            Outcome::Values(values) => match values.as_slice() {
                [crate::value::Value::Boolean(truth)] => Ok(*truth),
                [] => Ok(false),
                _ => Err(Failure::without_position("yields true or false")),
            },
            Outcome::Unmanaged => Err(Failure::without_position("yields true or false")),
        }
    }

    fn evaluate_here(&self, scope: &Context<'_, '_>) -> Result<Outcome, Failure> {
        // The interpreter has rough edges that panic; one identity's data must not end the process.
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let yielded =
                Value::resolve_val(&self.parsed, scope).map_err(|error| self.failure(&error, scope))?;
            values::from_cel(yielded.as_ref()).map_err(Failure::without_position)
        }));
        evaluated.unwrap_or_else(|_| Err(Failure::without_position("the evaluation broke off")))
    }

    fn failure(&self, error: &ExecutionError, scope: &Context<'_, '_>) -> Failure {
        let culprit = culprit(&self.parsed, scope);
        Failure {
            message: describe(error, &self.source.source),
            position: position(&self.source, culprit.id),
        }
    }
}

fn compile_here(source: &str, variables: &[&str]) -> Result<(Expression, Facts), Failure> {
    let (mut parsed, info) = context::parser().parse_with_source_info(source).map_err(|errors| {
        errors.errors.first().map_or_else(|| Failure::without_position("not an expression"), of_parser)
    })?;
    let facts = check::check(&parsed, variables).map_err(|fault| Failure {
        message: fault.message,
        position: position(&info, fault.expression_id),
    })?;
    if facts.depth > MAX_DEPTH {
        return Err(Failure::without_position(format!(
            "nested at most {MAX_DEPTH} deep, not {}",
            facts.depth
        )));
    }
    rewrite::rewrite(&mut parsed);
    Ok((Expression { parsed, source: info, is_deep: facts.depth > SHALLOW }, facts))
}

/// The parser's error without its innards and its list of all that could have stood there.
fn of_parser(error: &ParseError) -> Failure {
    let message = match error.msg.split_once("OtherError") {
        Some(_) => "nested too deeply",
        None => error.msg.split(" expecting ").next().unwrap_or_default(),
    };
    let position = usize::try_from(error.pos.0).ok().zip(usize::try_from(error.pos.1).ok());
    Failure {
        message: message.to_owned(),
        position: position.map(|(line, column)| Position { line, column }),
    }
}

/// The innermost expression that fails by itself.
fn culprit<'e>(expression: &'e IdedExpr, scope: &Context<'_, '_>) -> &'e IdedExpr {
    let fails = |candidate: &&'e IdedExpr| Value::resolve_val(candidate, scope).is_err();
    let candidates = match &expression.expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => taken_branch(&call.args, scope),
        // What is inside a loop fails outside it for want of the loop's variable.
        Expr::Comprehension(comprehension) => vec![&comprehension.iter_range],
        _ => ast::children(expression),
    };
    candidates.into_iter().find(fails).map_or(expression, |inner| culprit(inner, scope))
}

fn taken_branch<'e>(args: &'e [IdedExpr], scope: &Context<'_, '_>) -> Vec<&'e IdedExpr> {
    let [condition, then, otherwise] = args else { return Vec::new() };
    let truth = Value::resolve_val(condition, scope)
        .ok()
        .and_then(|it| it.downcast_ref::<CelBool>().map(|it| *it.inner()));
    match truth {
        Some(true) => vec![then],
        Some(false) => vec![otherwise],
        None => vec![condition],
    }
}

fn position(source: &SourceInfo, expression_id: u64) -> Option<Position> {
    let offset = usize::try_from(source.offset_for(expression_id)?.0).ok()?;
    let before = source.source.get(..offset)?;
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
    Some(Position { line, column })
}

/// The interpreter's errors without the values that it prints into them: a key is named only where the source does.
fn describe(error: &ExecutionError, source: &str) -> String {
    match error {
        ExecutionError::NoSuchKey(key) if source.contains(key.as_str()) => format!("there is no {key}"),
        ExecutionError::NoSuchKey(_) => "there is no such key".to_owned(),
        ExecutionError::NoSuchOverload(overload) => {
            format!(
                "{} does not take ({})",
                readable(overload.function()),
                overload.argument_types().join(", ")
            )
        }
        ExecutionError::UndeclaredReference(name) => format!("there is no {name}"),
        ExecutionError::UnexpectedType { want, .. } => format!("expected {want}"),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("cannot {operator} {} and {}", left.type_of(), right.type_of())
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("cannot compare {} and {}", left.type_of(), right.type_of())
        }
        ExecutionError::FunctionError { function, message } if functions::is_ours(function) => {
            format!("{function}: {message}")
        }
        ExecutionError::FunctionError { function, .. } => format!("{function} does not take this value"),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("expected {expected} arguments, not {actual}")
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "the result does not fit 64 bits".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "the index is out of bounds".to_owned(),
        _ => "the value does not fit".to_owned(),
    }
}

/// `_+_` as people write it.
fn readable(function: &str) -> &str {
    match function.trim_matches(|edge| edge == '_' || edge == '@') {
        "" => function,
        operator => operator,
    }
}

impl Failure {
    pub(super) fn without_position(message: impl Into<String>) -> Self {
        Self { message: message.into(), position: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column }) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
