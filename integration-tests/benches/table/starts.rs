use crate::table::Table;
use anyhow::Result;
use std::time::Duration;
pub fn measure(_table: &mut Table, _rest: Duration) -> Result<()> {
    Ok(())
}
