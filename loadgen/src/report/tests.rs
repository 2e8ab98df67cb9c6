//! What is printed and written, against what it was.

use super::samples;
use super::*;

/// No line of it may be wider than a terminal.
fn checked(text: &str) -> &str {
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
        assert_eq!(line, line.trim_end());
    }
    text
}

#[test]
fn a_run_as_text() {
    insta::assert_snapshot!("clean", checked(&run_text(&samples::clean(50, 30))));
    insta::assert_snapshot!("lossy", checked(&run_text(&samples::lossy(50, 30))));
    insta::assert_snapshot!(
        "overloaded",
        checked(&run_text(&samples::overloaded(50, 30)))
    );
}

#[test]
fn a_search_as_text() {
    insta::assert_snapshot!(
        "capacity",
        checked(&capacity_text(&samples::found(47, u64::MAX)))
    );
}

#[test]
fn a_search_bound_by_the_generator_is_marked_as_derived() {
    let text = capacity_text(&samples::found(u64::MAX, 47));
    checked(&text);
    assert!(text.contains("INCONCLUSIVE: the generator was the bottleneck above 46 receivers"));
    assert!(text.contains("derived, not measured"), "{text}");
    assert!(text.contains("3.00 µs of CPU per packet"), "{text}");
}

#[test]
fn other_work_on_the_machine_is_pointed_at() {
    let mut outcome = samples::overloaded(50, 30);
    outcome.own.cpu_share = 0.02;
    let text = run_text(&outcome);
    assert!(
        text.contains("NOTE: the generator itself took only 2 %"),
        "{text}"
    );
    let mut capacity = samples::found(47, u64::MAX);
    assert!(!capacity_text(&capacity).contains("NOTE"));
    capacity.levels[1].outcome = samples::lossy(23, 9);
    let text = capacity_text(&capacity);
    assert!(
        text.contains("NOTE: a run at 50 % of that was not clean"),
        "{text}"
    );
}

#[test]
fn a_run_as_json_is_complete_and_can_be_read_back() {
    let outcome = samples::clean(2, 1);
    let text = json(&outcome).unwrap();
    assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    insta::assert_json_snapshot!("run", value);
}

#[test]
fn a_search_as_json() {
    let mut value = serde_json::to_value(samples::found(3, u64::MAX)).unwrap();
    for level in value["levels"].as_array_mut().unwrap() {
        assert_eq!(level["outcome"]["verdict"], "passed");
        level["outcome"] = "a whole run".into();
    }
    insta::assert_json_snapshot!("capacity_json", value);
}

/// Elements are closed in the order in which they were opened, and attributes are quoted: enough
/// for any browser to see the same in it.
fn well_formed(html: &str) {
    const VOID: [&str; 2] = ["meta", "!doctype"];
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag is never closed");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes of <{tag}>");
        let name = tag.trim_start_matches('/').split_whitespace().next();
        let name = name.unwrap().trim_end_matches('/').to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

fn loads_nothing(html: &str) {
    let namespace = r#"xmlns="http://www.w3.org/2000/svg""#;
    for loading in [
        "src=", "href", "url(", "@import", "<script", "<link", "<iframe",
    ] {
        assert!(!html.contains(loading), "{loading}");
    }
    let addresses = html.replace(namespace, "").matches("://").count();
    let server = html.matches("http://127.0.0.1:8080").count();
    assert_eq!(addresses, server, "an address beside the server's");
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn pages_are_well_formed_and_load_nothing() {
    for page in [
        run_html(&samples::clean(50, 30)),
        run_html(&samples::lossy(50, 30)),
        capacity_html(&samples::found(47, u64::MAX)),
        capacity_html(&samples::found(u64::MAX, 47)),
        capacity_html(&samples::found(0, u64::MAX)),
    ] {
        let page = page.unwrap();
        well_formed(&page);
        loads_nothing(&page);
        assert!(!page.contains("NaN"));
    }
}

#[test]
fn a_page_has_a_chart_of_each_kind() {
    let page = run_html(&samples::clean(50, 30)).unwrap();
    assert_eq!(page.matches("<svg ").count(), 6);
    for title in ["Latency by percentile", "Rate over time", "Trains received"] {
        assert!(
            page.contains(&format!(r#"aria-label="{title}""#)),
            "{title}"
        );
    }
}

#[test]
fn what_a_server_says_can_not_become_markup() {
    let page = run_html(&samples::lossy(50, 30)).unwrap();
    assert!(!page.contains("<no port>"));
    assert!(page.contains("no port"));
}

#[test]
fn a_run_in_which_nothing_came_can_be_shown() {
    let mut outcome = samples::clean(1, 1);
    outcome.latency = None;
    outcome.by_kind.clear();
    outcome.timeline.clear();
    outcome.trains.clear();
    outcome.cpu = None;
    checked(&run_text(&outcome));
    well_formed(&run_html(&outcome).unwrap());
}

#[test]
fn the_readme_names_every_field_of_the_json() {
    fn check(value: &serde_json::Value, readme: &str) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    assert!(readme.contains(&format!("`{name}`")), "{name}");
                    check(value, readme);
                }
            }
            serde_json::Value::Array(values) => {
                values.iter().for_each(|value| check(value, readme));
            }
            _ => {}
        }
    }
    let readme = include_str!("../../README.md");
    let run = serde_json::to_value(samples::lossy(50, 1)).unwrap();
    check(&run, readme);
    let search = serde_json::to_value(samples::found(u64::MAX, 3)).unwrap();
    check(&search, readme);
}
