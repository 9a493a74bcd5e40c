//! The forms of ids and ARNs: section 1.3 of the ECS API reference, "Amazon Resource Names".

use berth_integration_tests::golden::normal::words;
use serde_json::Value;

use super::recording::Recording;

/// Members of answers with the forms that they may have. `{}` stands for a name.
const FORMS: [(&str, &[&str]); 14] = [
    ("clusterArn", &["arn:aws:ecs:us-east-1:000000000000:cluster/{}"]),
    ("clusterArns", &["arn:aws:ecs:us-east-1:000000000000:cluster/{}"]),
    (
        "containerArn",
        &["arn:aws:ecs:us-east-1:000000000000:container/{}/<id>/<uuid>"],
    ),
    ("containerInstanceArn", &[INSTANCE]),
    ("containerInstanceArns", &[INSTANCE]),
    ("runtimeId", &["<digest>", ""]),
    ("serviceArn", &["arn:aws:ecs:us-east-1:000000000000:service/{}/{}"]),
    ("serviceArns", &["arn:aws:ecs:us-east-1:000000000000:service/{}/{}"]),
    (
        "serviceDeploymentArn",
        &["arn:aws:ecs:us-east-1:000000000000:service-deployment/{}/{}/<deployment>"],
    ),
    (
        "serviceRevisionArn",
        &["arn:aws:ecs:us-east-1:000000000000:service-revision/{}/{}/<number>"],
    ),
    ("taskArn", &[TASK]),
    ("taskArns", &[TASK]),
    ("taskDefinitionArn", &[DEFINITION]),
    ("taskDefinitionArns", &[DEFINITION]),
];
const INSTANCE: &str = "arn:aws:ecs:us-east-1:000000000000:container-instance/{}/<id>";
const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/{}/<id>";
const DEFINITION: &str = "arn:aws:ecs:us-east-1:000000000000:task-definition/{}:{}";

/// What has not the form that its member says.
pub(super) fn wrong(recording: &Recording) -> Vec<String> {
    let mut wrong = Vec::new();
    for exchange in &recording.exchanges {
        look(&exchange.operation, "", &exchange.answer, &mut wrong);
    }
    wrong
}

fn look(path: &str, member: &str, value: &Value, wrong: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, of) in members {
                look(&format!("{path}.{name}"), name, of, wrong);
            }
        }
        Value::Array(elements) => {
            for (element, at) in elements.iter().zip(0..) {
                look(&format!("{path}[{at}]"), member, element, wrong);
            }
        }
        Value::String(text) => {
            let forms = FORMS.iter().find(|(name, _)| *name == member);
            let Some((_, forms)) = forms else { return };
            let form = words(text, |kind, _, _| format!("<{kind}>"));
            if !forms.iter().any(|expected| fits(&form, expected)) {
                wrong.push(format!("{path} is {text}, not {}", forms.join(" or ")));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a text is of a form; a name has neither `/` nor `:` and is not empty.
fn fits(text: &str, form: &str) -> bool {
    let parts = |text: &str| text.split(['/', ':']).map(str::to_owned).collect::<Vec<_>>();
    let (text, form) = (parts(text), parts(form));
    text.len() == form.len()
        && text.iter().zip(&form).all(|(part, expected)| match expected.as_str() {
            "{}" => !part.is_empty() && !part.starts_with('<'),
            expected => part == expected,
        })
}
