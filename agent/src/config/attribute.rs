//! Attributes that the operator gives the instance.

const LONGEST: usize = 128;
/// Beginnings of the names under which the agent says what it can do.
const CAPABILITIES: [&str; 3] = ["ecs.capability.", "com.amazonaws.ecs.", "berth."];
/// What the agent finds out by itself.
const FOUND: [&str; 3] = ["ecs.os-type", "ecs.os-family", "ecs.cpu-architecture"];

/// A name with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: String,
}

pub(super) fn parse_all(texts: &[String]) -> Result<Vec<Attribute>, String> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for text in texts {
        let attribute = parse(text)?;
        if attributes.iter().any(|earlier| earlier.name == attribute.name) {
            return Err(format!("--attribute '{}' is given more than once", attribute.name));
        }
        attributes.push(attribute);
    }
    Ok(attributes)
}

/// ECS API, `Attribute`: the rules of name and value.
fn parse(text: &str) -> Result<Attribute, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("--attribute is '{text}', it must be NAME=VALUE"))?;
    let name_ok = |c: char| c.is_ascii_alphanumeric() || "_-/\\.".contains(c);
    let value_ok = |c: char| c.is_ascii_alphanumeric() || "_-/\\.@: ".contains(c);
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(name_ok) {
        return Err(format!(
            "--attribute '{text}': the name must be 1 to {LONGEST} letters, numbers, hyphens, underscores, slashes, backslashes and periods"
        ));
    }
    if FOUND.contains(&name) || CAPABILITIES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(format!(
            "--attribute '{text}': the agent itself sets {} and names that begin with {}",
            FOUND.join(", "),
            CAPABILITIES.join(", ")
        ));
    }
    if value.is_empty() || value.len() > LONGEST || !value.chars().all(value_ok) || value.trim() != value {
        return Err(format!(
            "--attribute '{text}': the value must be 1 to {LONGEST} letters, numbers, hyphens, underscores, periods, at signs, slashes, backslashes, colons and inner spaces"
        ));
    }
    Ok(Attribute {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_keep_the_rules_of_ecs() {
        let good = parse("team/stack=a b:c@d").unwrap();
        assert_eq!((good.name.as_str(), good.value.as_str()), ("team/stack", "a b:c@d"));
        let long = format!("{}=x", "n".repeat(129));
        for bad in [
            "stack",
            "=x",
            "stack=",
            "a b=x",
            "ecs.os-type=windows",
            "stack= x",
            "stack=ä",
            &long,
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.starts_with("--attribute"), "{bad}: {error}");
        }
        assert!(parse_all(&["a=1".to_owned(), "a=2".to_owned()]).is_err());
    }
}
