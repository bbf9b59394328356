//! Definitions of the schema (RFC 4512 §4.1): parenthesised words, quoted texts and lists.

/// One definition: its fields by keyword, in upper case as they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Definition {
    pub oid: String,
    fields: Vec<(String, Vec<String>)>,
}

impl Definition {
    /// None where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut tokens = tokens(text)?.into_iter().peekable();
        if tokens.next()? != Token::Open {
            return None;
        }
        let Token::Word(oid) = tokens.next()? else { return None };
        let mut definition = Self { oid, fields: Vec::new() };
        loop {
            let keyword = match tokens.next()? {
                Token::Close => return Some(definition),
                Token::Word(keyword) => keyword,
                Token::Open | Token::Text(_) => return None,
            };
            let mut values = Vec::new();
            match tokens.peek()? {
                Token::Open => {
                    tokens.next();
                    loop {
                        match tokens.next()? {
                            Token::Close => break,
                            Token::Word(separator) if separator == "$" => {}
                            Token::Word(value) | Token::Text(value) => values.push(value),
                            Token::Open => return None,
                        }
                    }
                }
                Token::Text(value) => {
                    values.push(value.clone());
                    tokens.next();
                }
                Token::Word(value) if !FLAGS.contains(&keyword.as_str()) => {
                    values.push(value.clone());
                    tokens.next();
                }
                Token::Word(_) | Token::Close => {}
            }
            definition.fields.push((keyword, values));
        }
    }

    pub fn has(&self, keyword: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == keyword)
    }

    pub fn values(&self, keyword: &str) -> &[String] {
        let found = self.fields.iter().find(|(known, _)| known == keyword);
        found.map(|(_, values)| values.as_slice()).unwrap_or_default()
    }

    pub fn value(&self, keyword: &str) -> Option<&str> {
        self.values(keyword).first().map(String::as_str)
    }

    /// Its first name, else its object identifier.
    pub fn name(&self) -> &str {
        self.value("NAME").unwrap_or(&self.oid)
    }

    pub fn is_called(&self, name: &str) -> bool {
        self.oid == name || self.values("NAME").iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Keywords without a value.
const FLAGS: [&str; 7] =
    ["OBSOLETE", "SINGLE-VALUE", "COLLECTIVE", "NO-USER-MODIFICATION", "STRUCTURAL", "AUXILIARY", "ABSTRACT"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Word(String),
    Text(String),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => {
                tokens.push(if first == '(' { Token::Open } else { Token::Close });
                1
            }
            '\'' => {
                let end = rest[1..].find('\'')?;
                tokens.push(Token::Text(rest[1..=end].replace("\\27", "'").replace("\\5c", "\\")));
                end + 2
            }
            _ => {
                let is_end =
                    |character: char| character.is_whitespace() || matches!(character, '(' | ')' | '\'');
                let end = rest.find(is_end).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn a_definition_is_read_by_its_keywords() {
        let text = "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'RFC4519: it\\27s name' SUP name SINGLE-VALUE
                      SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} X-ORDERED 'VALUES' )";
        let definition = Definition::parse(text).unwrap();
        assert_eq!((definition.oid.as_str(), definition.name()), ("2.5.4.3", "cn"));
        assert_eq!(definition.values("NAME"), ["cn", "commonName"]);
        assert_eq!(definition.value("DESC"), Some("RFC4519: it's name"));
        assert_eq!(definition.value("SYNTAX"), Some("1.3.6.1.4.1.1466.115.121.1.15{32768}"));
        assert!(definition.has("SINGLE-VALUE") && definition.is_called("COMMONNAME"));

        let class =
            Definition::parse("( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY title )");
        let class = class.unwrap();
        assert_eq!(class.values("MUST"), ["sn", "cn"]);
        assert_eq!((class.value("SUP"), class.value("MAY")), (Some("top"), Some("title")));
    }

    #[test]
    fn what_is_no_definition_is_none() {
        for text in ["", "cn", "(", "( 2.5.4.3 NAME 'cn'", "( 2.5.4.3 NAME 'cn )", "()"] {
            assert_eq!(Definition::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_at_all_makes_the_reader_panic(text in any::<String>()) {
            let _ = Definition::parse(&text);
        }
    }
}
