//! The call page.

use crate::support::server::Host;

#[tokio::test]
async fn files_of_the_page_with_fitting_headers() {
    let host = Host::new();
    let page = tempfile::tempdir().unwrap();
    std::fs::create_dir(page.path().join("assets")).unwrap();
    std::fs::write(page.path().join("index.html"), "<p>the page").unwrap();
    std::fs::write(page.path().join("assets/a-1.js"), "1").unwrap();
    let flags = ["--page-dir", page.path().to_str().unwrap()];
    let control = host.control(&flags).await;
    let index = control.get("/").await;
    assert_eq!((index.status, index.text.as_str()), (200, "<p>the page"));
    assert_eq!(index.header("cache-control"), Some("no-cache"));
    assert!(
        index
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    let policy = index.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'"), "{policy}");
    let permissions = index.header("permissions-policy").unwrap();
    assert!(permissions.contains("camera=(self)"), "{permissions}");
    let script = control.get("/assets/a-1.js").await;
    assert_eq!(script.status, 200);
    assert!(
        script
            .header("content-type")
            .unwrap()
            .contains("javascript")
    );
    assert!(
        script
            .header("cache-control")
            .unwrap()
            .contains("immutable")
    );
    for outside in [
        "/none.js",
        "/../secret",
        "/%2e%2e/secret",
        "/assets/none-2.js",
    ] {
        control.get(outside).await.error(404, "not_found");
    }
}

#[tokio::test]
async fn without_a_page_it_says_how_to_get_one() {
    let host = Host::new();
    let control = host.control(&["--page-dir", "/nonexistent"]).await;
    let answer = control.get("/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("npm") && answer.text.contains("scripts/run"));
    control.get("/other").await.error(404, "not_found");
}
