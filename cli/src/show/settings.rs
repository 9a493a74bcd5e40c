//! Account settings as a table.

use berth_proto::ecs::v1::Setting;

use super::Table;
use super::table::text;
use crate::output::Presentation;

pub(crate) fn list(settings: &[Setting]) -> Presentation {
    let mut table = Table::with_headings(["SETTING", "VALUE", "FOR"]);
    for setting in settings {
        let principal = setting.principal_arn();
        let whose = principal.rsplit(':').next().unwrap_or(principal);
        table.row([text(setting.name()), text(setting.value()), text(whose)]);
    }
    Presentation::default().table(&table)
}
