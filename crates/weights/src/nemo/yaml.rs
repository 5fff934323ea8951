//! Reads a NeMo configuration (YAML) as JSON, within limits.
//!
//! Plain scalars are resolved as OmegaConf does, which wrote these files: YAML 1.1 truth values and numbers, floats
//! with or without a dot in front of the exponent, no dates. `${...}` interpolations stay text, and so do infinities
//! and NaN, which JSON cannot hold. Tags beyond the core schema are ignored: nothing is ever constructed.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

/// Configurations nest about six deep.
const MAX_DEPTH: usize = 64;
/// The most that a configuration may hold once every alias is replaced by what it stands for: bytes of text, and
/// [`NODE_COST`] for each value.
const MAX_COST: usize = 64 << 20;
const NODE_COST: usize = 64;

/// Why a YAML file cannot be read.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlFault {
    /// It is not UTF-8 text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// It is not YAML.
    #[error("line {line}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// It holds no mapping.
    #[error("it is not a mapping of settings")]
    NotAMapping,
    /// One key twice.
    #[error("line {line}: the key `{key}` comes twice")]
    DuplicateKey {
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A key that is a sequence or a mapping.
    #[error("line {line}: a key must be a plain value")]
    Key {
        /// The line, from 1.
        line: usize,
    },
    /// An alias of something that has not been read.
    #[error("line {line}: an alias without an anchor")]
    Alias {
        /// The line, from 1.
        line: usize,
    },
    /// Deeper than configurations are.
    #[error("line {line}: nested more than {limit} deep")]
    Depth {
        /// The line, from 1.
        line: usize,
        /// The deepest that is read.
        limit: usize,
    },
    /// Larger than configurations are, aliases included.
    #[error("line {line}: the settings grow beyond {limit} bytes")]
    Size {
        /// The line, from 1.
        line: usize,
        /// The most that is read.
        limit: usize,
    },
}

/// The first document of a YAML text, which must be a mapping.
pub(crate) fn parse(text: &[u8]) -> Result<Value, YamlFault> {
    let text = std::str::from_utf8(text).map_err(|_| YamlFault::NotText)?;
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlFault::Syntax {
            line: error.marker().line(),
            reason: error.info().into(),
        })?;
        if let Some(document) = builder.event(event, span.start.line())? {
            return match document {
                Value::Object(_) => Ok(document),
                _ => Err(YamlFault::NotAMapping),
            };
        }
    }
    Err(YamlFault::NotAMapping)
}

/// Builds the value of a document from the parser's events.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    cost: usize,
}

/// A collection that is not complete.
struct Open {
    anchor: usize,
    /// What the document had cost when it began.
    cost_before: usize,
    items: Items,
}

enum Items {
    Sequence(Vec<Value>),
    Mapping {
        map: Map<String, Value>,
        /// The key whose value comes next.
        key: Option<String>,
    },
}

struct Anchored {
    value: Value,
    cost: usize,
}

impl Builder {
    /// Takes one event and returns the document once it is complete.
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<Option<Value>, YamlFault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let cost_before = self.cost;
                self.spend(NODE_COST + text.len(), line)?;
                let value = resolve(&text, style, tag.as_deref());
                self.anchor(anchor, &value, cost_before);
                self.place(value, line)
            }
            Event::Alias(anchor) => {
                let anchored = self.anchors.get(&anchor);
                let Anchored { cost, .. } = anchored.ok_or(YamlFault::Alias { line })?;
                // Before the copy is made.
                self.spend(*cost, line)?;
                let value = self.anchors[&anchor].value.clone();
                self.place(value, line)
            }
            Event::SequenceStart(anchor, _) => self.open(anchor, Items::Sequence(Vec::new()), line),
            Event::MappingStart(anchor, _) => {
                let (map, key) = (Map::new(), None);
                self.open(anchor, Items::Mapping { map, key }, line)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let value = match open.items {
                        Items::Sequence(values) => Value::Array(values),
                        Items::Mapping { map, .. } => Value::Object(map),
                    };
                    self.anchor(open.anchor, &value, open.cost_before);
                    self.place(value, line)
                }
                None => Err(YamlFault::NotAMapping),
            },
            _ => Ok(None),
        }
    }

    fn open(
        &mut self,
        anchor: usize,
        items: Items,
        line: usize,
    ) -> Result<Option<Value>, YamlFault> {
        if self.open.len() == MAX_DEPTH {
            let limit = MAX_DEPTH;
            return Err(YamlFault::Depth { line, limit });
        }
        let cost_before = self.cost;
        self.spend(NODE_COST, line)?;
        self.open.push(Open {
            anchor,
            cost_before,
            items,
        });
        Ok(None)
    }

    /// Puts a complete value where it belongs; the outermost one is the document.
    fn place(&mut self, value: Value, line: usize) -> Result<Option<Value>, YamlFault> {
        let Some(parent) = self.open.last_mut() else {
            return Ok(Some(value));
        };
        match &mut parent.items {
            Items::Sequence(values) => values.push(value),
            Items::Mapping { map, key } => match key.take() {
                None => *key = Some(key_text(value).ok_or(YamlFault::Key { line })?),
                Some(key) if map.contains_key(&key) => {
                    return Err(YamlFault::DuplicateKey { line, key });
                }
                Some(key) => {
                    map.insert(key, value);
                }
            },
        }
        Ok(None)
    }

    /// Keeps a value for aliases; 0 is the parser's way of saying that there is no anchor.
    fn anchor(&mut self, anchor: usize, value: &Value, cost_before: usize) {
        if anchor != 0 {
            let cost = self.cost - cost_before;
            let value = value.clone();
            // The copy counts too, or a chain of anchors within anchors would be free.
            self.cost += cost;
            self.anchors.insert(anchor, Anchored { value, cost });
        }
    }

    fn spend(&mut self, cost: usize, line: usize) -> Result<(), YamlFault> {
        self.cost = self.cost.saturating_add(cost);
        let limit = MAX_COST;
        if self.cost > limit {
            return Err(YamlFault::Size { line, limit });
        }
        Ok(())
    }
}

/// A key as JSON writes it.
fn key_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(_) | Value::Object(_) => None,
        plain => Some(plain.to_string()),
    }
}

/// The value of a scalar.
fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = match tag {
        Some(tag) => {
            let is_plain = matches!(&tag.suffix[..], "int" | "float" | "bool" | "null");
            !(tag.is_yaml_core_schema() && is_plain)
        }
        None => style != ScalarStyle::Plain,
    };
    if is_text {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return true.into();
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return false.into();
        }
        _ => {}
    }
    let number = integer(text).or_else(|| float(text));
    number.map_or_else(|| text.into(), Value::Number)
}

/// `[-+]?` decimal, `0` octal, `0x` or `0b`, with `_` between digits.
fn integer(text: &str) -> Option<Number> {
    let (sign, digits) = signed(text);
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', b'0'..=b'7' | b'_', ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let digits = digits.replace('_', "");
    let magnitude = u64::from_str_radix(&digits, radix).ok()?;
    if sign > 0.0 {
        return Some(magnitude.into());
    }
    0i64.checked_sub_unsigned(magnitude).map(Number::from)
}

/// Decimal with a dot, an exponent or both; finite.
fn float(text: &str) -> Option<Number> {
    let (sign, digits) = signed(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.contains(['.', 'e', 'E']);
    if !is_number {
        return None;
    }
    let magnitude: f64 = digits.replace('_', "").parse().ok()?;
    Number::from_f64(sign * magnitude)
}

/// The sign of a number, and the rest of its text.
fn signed(text: &str) -> (f64, &str) {
    match text.as_bytes() {
        [b'-', ..] => (-1.0, &text[1..]),
        [b'+', ..] => (1.0, &text[1..]),
        _ => (1.0, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        let document = parse(format!("v: {text}\n").as_bytes()).unwrap();
        document["v"].clone()
    }

    #[test]
    fn scalars_resolve_as_omegaconf_does() {
        let cases: [(&str, Value); 27] = [
            ("16000", 16000.into()),
            ("-1", (-1).into()),
            ("+7", 7.into()),
            ("1_000", 1000.into()),
            ("0x1F", 31.into()),
            ("017", 15.into()),
            ("0b101", 5.into()),
            ("0.025", 0.025.into()),
            ("-.5", (-0.5).into()),
            ("5.", 5.0.into()),
            ("1e-5", 1e-5.into()),
            ("1.0e-05", 1e-5.into()),
            ("1e400", "1e400".into()),
            (".inf", ".inf".into()),
            ("yes", true.into()),
            ("Off", false.into()),
            ("true", true.into()),
            ("null", Value::Null),
            ("~", Value::Null),
            ("", Value::Null),
            ("'null'", "null".into()),
            ("\"12\"", "12".into()),
            ("!!str 12", "12".into()),
            ("!!python/name:os.system ''", "".into()),
            ("2021-01-02", "2021-01-02".into()),
            ("${model.d_model}", "${model.d_model}".into()),
            ("18446744073709551616", "18446744073709551616".into()),
        ];
        for (text, want) in cases {
            assert_eq!(value(text), want, "{text}");
        }
        assert_eq!(value("▁the"), "▁the");
        assert_eq!(value("12abc"), "12abc");
        assert_eq!(value("e5"), "e5");
    }

    #[test]
    fn anchors_stand_for_their_values() {
        let text = "a: &x [1, {k: v}]\nb: *x\n1: &y t\nc: [*y, *y]\n";
        let want = serde_json::json!({
            "a": [1, {"k": "v"}], "b": [1, {"k": "v"}], "1": "t", "c": ["t", "t"],
        });
        assert_eq!(parse(text.as_bytes()).unwrap(), want);
    }

    #[test]
    fn a_bomb_of_aliases_is_refused_before_it_grows() {
        let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for i in 1..12 {
            let copies = vec![format!("*a{}", i - 1); 9].join(", ");
            text += &format!("a{i}: &a{i} [{copies}]\n");
        }
        let fault = parse(text.as_bytes()).unwrap_err();
        assert!(matches!(fault, YamlFault::Size { .. }), "{fault}");
    }

    #[test]
    fn nesting_and_damage_are_refused() {
        let deep = format!("a: {}{}\n", "[".repeat(100), "]".repeat(100));
        let cases: [(&[u8], &str); 7] = [
            (deep.as_bytes(), "nested"),
            (b"a: 1\na: 2\n", "comes twice"),
            (b"- 1\n", "not a mapping"),
            (b"", "not a mapping"),
            (b"a: *nothing\n", "line 1"),
            (b"a: [1\n", "line"),
            (b"a: \xff\n", "UTF-8"),
        ];
        for (text, part) in cases {
            let fault = parse(text).unwrap_err().to_string();
            assert!(fault.contains(part), "{fault:?} should say {part:?}");
        }
    }
}
