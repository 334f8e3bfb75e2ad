//! XML as a value: what a reply in XML holds, for scripts and for the guess that starts one.

use super::Value;
use roxmltree::{Document, Node, ParsingOptions};

/// Deepest nesting of elements that is read.
const DEEPEST: usize = 48;

/// A text that is not read as XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Elements in elements in elements.
    #[error("that XML nests more than {DEEPEST} deep")]
    Deep,
    /// It does not parse, has a document type, or has too many nodes.
    #[error("that is not XML that scripts may read (line {0})")]
    Broken(u32),
}

/// Reads XML of at most so many nodes. An element with children or attributes is an object, one with text alone a text,
/// one that comes several times a list; attributes are `@name`, text beside children `#text`. Namespaces are left out, and
/// document types refused: no entities that grow, no files.
///
/// # Errors
/// When it is no XML, or more than may be read.
pub fn read_xml(text: &str, most_nodes: u32) -> Result<Value, XmlError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: most_nodes, ..ParsingOptions::default() };
    if nests_deeper(text, DEEPEST) {
        return Err(XmlError::Deep);
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let document = Document::parse_with_options(text, options).map_err(|cause| XmlError::Broken(cause.pos().row))?;
    let root = document.root_element();
    let mut whole = serde_json::Map::new();
    whole.insert(root.tag_name().name().to_owned(), element(root));
    Ok(Value::Object(whole))
}

/// Whether elements nest deeper than `most`, judged by tags alone: before the parser, whose stack would hold each.
fn nests_deeper(text: &str, most: usize) -> bool {
    let mut depth = 0_usize;
    for (at, _) in text.match_indices('<') {
        let rest = &text.as_bytes()[at + 1..];
        match rest.first() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!' | b'?') | None => {}
            Some(_) => {
                let end = rest.iter().position(|&b| b == b'>').unwrap_or(rest.len());
                if !rest[..end].ends_with(b"/") {
                    depth += 1;
                }
            }
        }
        if depth > most {
            return true;
        }
    }
    false
}

fn element(node: Node<'_, '_>) -> Value {
    let mut members = serde_json::Map::new();
    for attribute in node.attributes() {
        members.insert(format!("@{}", attribute.name()), attribute.value().into());
    }
    let text: String = node.children().filter(Node::is_text).filter_map(|text| text.text()).collect();
    let text = text.trim();
    for child in node.children().filter(Node::is_element) {
        let value = element(child);
        match members.get_mut(child.tag_name().name()) {
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                members.insert(child.tag_name().name().to_owned(), value);
            }
        }
    }
    if members.is_empty() {
        return text.into();
    }
    if !text.is_empty() {
        members.insert("#text".to_owned(), text.into());
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_attributes_and_lists_become_a_value() {
        let value = read_xml("\u{feff}<r id=\"7\"><t>at</t><s>a</s><s>b</s><e/>x</r>", 100).unwrap();
        assert_eq!(value, json!({"r": {"@id": "7", "t": "at", "s": ["a", "b"], "e": "", "#text": "x"}}));
    }

    #[test]
    fn what_could_grow_is_refused() {
        assert_eq!(read_xml(&"<a>".repeat(60), 1000), Err(XmlError::Deep));
        assert!(matches!(read_xml("<!DOCTYPE r [<!ENTITY a \"b\">]><r>&a;</r>", 100), Err(XmlError::Broken(_))));
        assert!(read_xml("<r><a/><a/><a/></r>", 3).is_err());
    }
}
