//! Attributes that the operator gives the instance.

use berth_model::attribute;

use super::setting::Invalid;

/// A name with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Reads all that were given; a name may be given once.
pub(super) fn parse_all(texts: &[String]) -> Result<Vec<Attribute>, Invalid> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for text in texts {
        let invalid = |rule| Invalid {
            value: text.clone(),
            rule,
        };
        let attribute = parse(text).map_err(invalid)?;
        if attributes.iter().any(|earlier| earlier.name == attribute.name) {
            return Err(invalid(
                "must name an attribute that is not given more than once".to_owned(),
            ));
        }
        attributes.push(attribute);
    }
    Ok(attributes)
}

fn parse(text: &str) -> Result<Attribute, String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    attribute::check_name(name)?;
    attribute::check_value(value)?;
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
        assert!(parse("berth.capacity-provider=web").is_ok());
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
            assert!(error.starts_with("must "), "{bad}: {error}");
        }
        assert!(parse_all(&["a=1".to_owned(), "a=2".to_owned()]).is_err());
    }
}
