//! A summary as text of at most 100 columns.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Row, Table as TextTable, presets};

use super::summary::{Summary, Table};

const WIDTH: usize = 100;
const INDENT: &str = "  ";
/// Facts stand side by side.
const FACTS_IN_A_ROW: usize = 2;

/// The summary, ending in a line break.
pub(super) fn text(summary: &Summary) -> String {
    let mut text = String::new();
    push_line(&mut text, &summary.heading);
    for line in wrapped(&summary.about, WIDTH - INDENT.len()) {
        push_line(&mut text, &format!("{INDENT}{line}"));
    }
    text.push('\n');
    for note in &summary.notes {
        let word = format!("{}: ", note.grade.word());
        let lines = wrapped(&note.text, WIDTH - word.len());
        for (index, line) in lines.iter().enumerate() {
            let start = if index == 0 { &word } else { INDENT };
            push_line(&mut text, &format!("{start}{line}"));
        }
    }
    push_table(&mut text, &facts(summary));
    for table in &summary.tables {
        text.push('\n');
        push_line(&mut text, &table.title);
        push_table(&mut text, &laid_out(table));
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    // Writing to a string can not fail.
    let _ = writeln!(text, "{}", line.trim_end());
}

fn push_table(text: &mut String, table: &TextTable) {
    for line in table.lines() {
        push_line(text, &format!("{INDENT}{line}"));
    }
}

fn empty_table() -> TextTable {
    let mut table = TextTable::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width((WIDTH - INDENT.len()) as u16);
    table
}

/// Column after column, so that what belongs together stands below each other.
fn facts(summary: &Summary) -> TextTable {
    let mut table = empty_table();
    let rows = summary.facts.len().div_ceil(FACTS_IN_A_ROW);
    for row in 0..rows {
        let facts = (0..FACTS_IN_A_ROW).filter_map(|column| summary.facts.get(column * rows + row));
        let cells: Vec<&str> = facts.flat_map(|fact| [fact.name, &fact.value]).collect();
        table.add_row(cells);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
        if column.index % 2 == 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn laid_out(of: &Table) -> TextTable {
    let mut table = empty_table();
    table.set_header(Row::from(of.head.clone()));
    for row in &of.rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        if column.index > 0 && !of.is_text(&column.index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Words in lines of at most so many characters, or of one word.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
