//! Polars, through `deltalake`: all tables at one version.

use arrow::datatypes::SchemaRef;

use super::{row, with_commits};
use crate::lake::history::layout;
use crate::lake::store::Lake;
use crate::lake::store::s3::StoreOptions;

/// A script that makes a lazy frame of each table, all of the newest commit that all of them have.
pub fn polars(lake: &Lake, options: &StoreOptions, tables: &[(&str, SchemaRef)]) -> String {
    let (location, storage) = (lake.location(), storage(lake, options));
    let all = layout::TABLES;
    let names: Vec<&str> = with_commits(tables).collect();
    let mut text = format!(
        "# Polars (pip install polars deltalake): a lazy frame of each table, all of one commit; its number is the version.\n\
         import polars as pl\n\
         from deltalake import DeltaTable\n\n\
         lake, storage = {location:?}, {storage}\n\
         names = {names:?}\n\
         version = min(DeltaTable(f\"{{lake}}/{all}/{{name}}\", storage_options=storage).version() for name in names)\n\n\
         def table(name):\n\
         \x20   return pl.scan_delta(f\"{{lake}}/{all}/{{name}}\", version=version, storage_options=storage)\n\n\
         def plain(name, row):\n\
         \x20   changes = table(f\"{{name}}{CHANGES}\").sort(\"seq\", \"diff\", descending=True)\n\
         \x20   return changes.unique(row, keep=\"first\", maintain_order=True).filter(pl.col(\"diff\") == 1).drop(\"diff\")\n\n",
        CHANGES = layout::CHANGES,
    );
    for table in names {
        text += &format!("{table} = table({table:?})\n");
    }
    for (table, schema) in tables {
        if let Some(plain) = layout::plain_table(table) {
            text += &format!("{plain} = plain({plain:?}, {:?})\n", row(table, schema));
        }
    }
    text
}

fn storage(lake: &Lake, options: &StoreOptions) -> String {
    match (lake.local_root(), &options.endpoint) {
        (Some(_), _) => "{}".into(),
        (None, None) => "{\"AWS_REGION\": \"...\"}".into(),
        (None, Some(endpoint)) => format!("{{\"AWS_ENDPOINT_URL\": {endpoint:?}, \"AWS_ALLOW_HTTP\": \"true\"}}"),
    }
}
