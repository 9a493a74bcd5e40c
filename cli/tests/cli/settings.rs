//! `berth settings`.

use crate::berth::berth;
use crate::fake::Fake;

#[test]
fn settings_are_listed_from_all_pages_set_and_taken_back() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    for name in ["awsvpcTrunking", "containerInsights", "taskLongArnFormat"] {
        fake.state().settings.insert(name.to_owned(), "disabled".to_owned());
    }
    let set = berth(&fake.url, &["settings", "set", "containerInsights", "enhanced"])?;
    assert_eq!(set.code, Some(0), "{set:?}");
    assert_eq!(
        set.stdout,
        "SETTING            VALUE     FOR\ncontainerInsights  enhanced  root\n"
    );
    let ann = "arn:aws:iam::000000000000:user/ann";
    let listed = berth(&fake.url, &["settings", "--principal", ann])?;
    assert_eq!(
        listed.stdout,
        "SETTING            VALUE     FOR\n\
         awsvpcTrunking     disabled  user/ann\n\
         containerInsights  enhanced  user/ann\n\
         taskLongArnFormat  disabled  user/ann\n"
    );
    let unset = berth(&fake.url, &["settings", "unset", "containerInsights"])?;
    assert!(unset.stdout.contains("containerInsights  disabled  root"), "{unset:?}");
    Ok(())
}
