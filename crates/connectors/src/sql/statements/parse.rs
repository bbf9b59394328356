//! Finds the named parameters of one statement, and refuses what is more or less than one.
//!
//! It knows what hides a colon or a semicolon: strings, quoted names, comments, `$tag$` of Postgres, backslashes of MySQL.
//! It does not know SQL: that is for the database to judge.

use xavyo_core::connector::SqlDialect;

/// A statement cut at its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Parameter(String),
}

impl Parsed {
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }
}

/// The statement's parts, or what was expected instead.
pub(super) fn parse(dialect: SqlDialect, text: &str) -> Result<Parsed, &'static str> {
    Scanner { dialect, rest: text.trim(), read: String::new(), parts: Vec::new(), depth: 0 }.scan()
}

struct Scanner<'a> {
    dialect: SqlDialect,
    rest: &'a str,
    /// Text since the last parameter.
    read: String,
    parts: Vec<Part>,
    depth: u32,
}

const ENDS: &str = "strings, quoted names and comments that end";
const NAMED: &str = "parameters by name, as `:uid`";
const BALANCED: &str = "parentheses in pairs";

impl Scanner<'_> {
    fn scan(mut self) -> Result<Parsed, &'static str> {
        while let Some(character) = self.rest.chars().next() {
            match character {
                '\'' | '"' | '`' => self.quoted(character)?,
                ';' => {
                    self.take(1);
                    self.read.pop();
                    self.only_comments_follow()?;
                }
                '$' if self.dialect == SqlDialect::Postgres => self.dollar()?,
                '?' if self.dialect == SqlDialect::Mysql => return Err(NAMED),
                ':' => self.colon(),
                '(' => {
                    self.depth += 1;
                    self.take(1);
                }
                ')' => {
                    self.depth = self.depth.checked_sub(1).ok_or(BALANCED)?;
                    self.take(1);
                }
                _ if self.is_comment() => self.comment()?,
                // A whole word, so that what follows it is not taken for a beginning.
                _ if is_word(character) => self.take(word_length(self.rest)),
                other => self.take(other.len_utf8()),
            }
        }
        if self.depth > 0 {
            return Err(BALANCED);
        }
        self.parts.push(Part::Text(std::mem::take(&mut self.read)));
        Ok(Parsed { parts: self.parts })
    }

    fn take(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.read.push_str(taken);
        self.rest = rest;
    }

    /// A string or a name. A doubled quote is two of them, one after the other; a backslash counts in MySQL's strings and
    /// in `E'…'` of Postgres.
    fn quoted(&mut self, quote: char) -> Result<(), &'static str> {
        let escapes = match self.dialect {
            SqlDialect::Mysql => quote != '`',
            SqlDialect::Postgres => quote == '\'' && ends_in_escape_mark(&self.read),
        };
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((position, character)) = characters.next() {
            if escapes && character == '\\' {
                characters.next();
            } else if character == quote {
                self.take(position + 1);
                return Ok(());
            }
        }
        Err(ENDS)
    }

    /// `$tag$ … $tag$`; `$1` is a parameter without a name.
    fn dollar(&mut self) -> Result<(), &'static str> {
        let tag = self.rest[1..].find('$').map(|end| &self.rest[..end + 2]);
        let tag = tag.filter(|tag| {
            let name = &tag[1..tag.len() - 1];
            name.chars().all(is_word) && !name.starts_with(|first: char| first.is_ascii_digit())
        });
        match tag {
            Some(tag) => {
                let length = tag.len();
                let end = self.rest[length..].find(tag).ok_or(ENDS)?;
                self.take(length + end + length);
                Ok(())
            }
            None => Err(NAMED),
        }
    }

    /// `::type` and `:=` are the database's.
    fn colon(&mut self) {
        let name = &self.rest[1..];
        if name.starts_with([':', '=']) {
            self.take(2);
        } else if name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            let (name, rest) = name.split_at(word_length(name));
            self.parts.push(Part::Text(std::mem::take(&mut self.read)));
            self.parts.push(Part::Parameter(name.to_owned()));
            self.rest = rest;
        } else {
            self.take(1);
        }
    }

    fn is_comment(&self) -> bool {
        match self.dialect {
            SqlDialect::Postgres => self.rest.starts_with("--") || self.rest.starts_with("/*"),
            SqlDialect::Mysql => {
                let dashes = self.rest.strip_prefix("--");
                let is_dashed =
                    dashes.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
                is_dashed || self.rest.starts_with('#') || self.rest.starts_with("/*")
            }
        }
    }

    fn comment(&mut self) -> Result<(), &'static str> {
        if !self.rest.starts_with("/*") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(end);
            return Ok(());
        }
        let is_executed = self.rest.starts_with("/*!") || self.rest.starts_with("/*M!");
        if self.dialect == SqlDialect::Mysql && is_executed {
            return Err("no comment that the server executes");
        }
        let mut depth = 0_u32;
        while !self.rest.is_empty() {
            if self.rest.starts_with("/*") && (depth == 0 || self.dialect == SqlDialect::Postgres) {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with("*/") {
                self.take(2);
                depth -= 1;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                self.take(self.rest.chars().next().map_or(0, char::len_utf8));
            }
        }
        Err(ENDS)
    }

    fn only_comments_follow(&mut self) -> Result<(), &'static str> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if self.rest.is_empty() {
                return Ok(());
            }
            if !self.is_comment() {
                return Err("one statement");
            }
            self.comment()?;
        }
    }
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn word_length(text: &str) -> usize {
    text.find(|character| !is_word(character)).unwrap_or(text.len())
}

/// The `E` of `E'…'`, not the end of a longer word.
fn ends_in_escape_mark(read: &str) -> bool {
    let mut last = read.chars().rev();
    matches!(last.next(), Some('e' | 'E')) && !last.next().is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dialect: SqlDialect, text: &str) -> Result<Vec<String>, &'static str> {
        parse(dialect, text).map(|parsed| parsed.parameters().map(str::to_owned).collect())
    }

    #[test]
    fn parameters_are_found_where_they_are_and_nowhere_else() {
        for (dialect, text, expected) in [
            (SqlDialect::Postgres, "select :a::int, x[1:2] from t where b=:b;", vec!["a", "b"]),
            (SqlDialect::Postgres, "select ':a', \":b\", $$:c$$, $x$ :d $$ $x$, :e", vec!["e"]),
            (SqlDialect::Postgres, "select 'it''s :a', E'\\':b', te'\\', :c", vec!["c"]),
            (SqlDialect::Postgres, "select :a -- :b\n, :c /* :d /* :e */ :f */ ; -- the end", vec!["a", "c"]),
            (SqlDialect::Mysql, "select '\\':a', \"\\\":b\", `:c`, @x := :d # :e", vec!["d"]),
            (SqlDialect::Mysql, "select 1--:a\n, :b -- :c", vec!["a", "b"]),
            (SqlDialect::Mysql, "select :ähm, :a", vec!["a"]),
        ] {
            assert_eq!(names(dialect, text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn more_or_less_than_one_statement_with_named_parameters_is_refused() {
        for (dialect, text) in [
            (SqlDialect::Postgres, "select 1; drop table x"),
            (SqlDialect::Postgres, "select 1;;"),
            (SqlDialect::Postgres, "select $1"),
            (SqlDialect::Postgres, "select 'x"),
            (SqlDialect::Postgres, "select /* /* */"),
            (SqlDialect::Postgres, "select $a$ $b$"),
            (SqlDialect::Postgres, "select 1) as x join (select 2"),
            (SqlDialect::Postgres, "select (1"),
            (SqlDialect::Mysql, "select ?"),
            (SqlDialect::Mysql, "select 'x\\'"),
            (SqlDialect::Mysql, "select 1 /*! ; drop table x */"),
        ] {
            assert!(names(dialect, text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_parts_are_the_statement() {
        let parsed = parse(SqlDialect::Mysql, "  update t set a=:a where id = :id ; ").unwrap();
        let text: String = parsed
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Parameter(name) => format!("<{name}>"),
            })
            .collect();
        assert_eq!(text.trim(), "update t set a=<a> where id = <id>");
    }
}
