//! Polars, through `deltalake`: all tables at one version.

use super::{Contents, row};
use crate::lake::history::layout;
use crate::lake::store::Lake;
use crate::lake::store::StoreOptions;

/// Where nothing is final.
const EARLIEST: &str = "0001-01-01";

/// A script that makes a lazy frame of each table, all at the newest version, which all of them have.
pub fn polars(lake: &Lake, options: &StoreOptions, contents: &Contents) -> String {
    let (location, storage) = (lake.location(), storage(lake, options));
    let all = layout::TABLES;
    let names: Vec<&str> = contents.names().collect();
    let mut text = format!(
        "# Polars (pip install polars deltalake): a lazy frame of each table, all at one version, so of one commit.\n\
         import polars as pl\n\
         from deltalake import DeltaTable\n\n\
         lake, storage = {location:?}, {storage}\n\
         names = {names:?}\n\
         version = min(DeltaTable(f\"{{lake}}/{all}/{{name}}\", storage_options=storage).version() for name in names)\n\n\
         def table(name):\n\
         \x20   return pl.scan_delta(f\"{{lake}}/{all}/{{name}}\", version=version, storage_options=storage)\n\n\
         def now(name, row, since):\n\
         \x20   \"\"\"What is sealed, and the last change of each row that is not, if that is +1.\"\"\"\n\
         \x20   recent = pl.col({DATE:?}) >= pl.lit(since).str.to_date()\n\
         \x20   changes = table(f\"{{name}}_changes\").filter(recent).sort(\"seq\", \"diff\", descending=True)\n\
         \x20   rows = changes.unique(row, keep=\"first\", maintain_order=True).filter(pl.col(\"diff\") == 1).drop(\"diff\")\n\
         \x20   rows = rows.join(table(name).filter(recent).select(\"row_key\"), on=\"row_key\", how=\"anti\")\n\
         \x20   return pl.concat([table(name), rows])\n\n",
        DATE = layout::EVENT_DATE_COLUMN,
    );
    for table in names {
        text += &format!("{table} = table({table:?})\n");
    }
    for table in &contents.derived {
        let (name, since) = (table.name(), contents.open_from(*table).unwrap_or_else(|| EARLIEST.into()));
        text += &format!("{name}_now = now({name:?}, {:?}, {since:?})\n", row(*table));
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
