//! A headless Chromium in the hands of a test. The two speak the Chrome `DevTools` Protocol over a
//! pair of pipes: JSON, each message ended by a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// What Chromium is called; `scripts/install-chromium` looks for the same names.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Puts the pipes where Chromium looks for them. A browser that hangs is ended by `timeout`.
const WRAPPED: &str = "exec timeout 120 \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null";

pub(crate) struct Browser {
    child: Child,
    /// Closing it ends the browser.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    /// The one tab, once it is there.
    tab: Option<String>,
    asked: u64,
    heard: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// Whose screen a page is shown on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    /// `light` or `dark`.
    pub(crate) scheme: &'static str,
}

/// What a page did while it was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Every line of the console, and every error of a script.
    pub(crate) console: Vec<String>,
    /// Every address that was asked for.
    pub(crate) requests: Vec<String>,
}

impl Browser {
    /// Starts Chromium. If there is none, says that the test is skipped, and fails where
    /// `CHAOSPROXY_REQUIRE_CHROMIUM=1` wants every test to run.
    pub(crate) fn start() -> Option<Self> {
        let there = |program: &&str| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let Some(program) = PROGRAMS.into_iter().find(there) else {
            let required = std::env::var("CHAOSPROXY_REQUIRE_CHROMIUM");
            assert!(required.as_deref() != Ok("1"), "no Chromium on the path");
            super::tell("skipped: no Chromium on the path");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut child = super::bound("sh")
            .args(["-c", WRAPPED, program])
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut browser = Self {
            to: child.stdin.take(),
            from: BufReader::new(child.stdout.take().unwrap()),
            child,
            tab: None,
            asked: 0,
            heard: Vec::new(),
            _profile: profile,
        };
        browser.open_tab();
        Some(browser)
    }

    fn open_tab(&mut self) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", &attach);
        self.tab = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Runtime", "Log"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
        self.call(
            "Page.setLifecycleEventsEnabled",
            &json!({ "enabled": true }),
        );
    }

    /// Opens a file and waits until it is shown whole.
    pub(crate) fn open(&mut self, page: &Path, screen: Screen) -> Opened {
        let metrics = json!({
            "width": screen.width, "height": 900, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = json!({ "name": "prefers-color-scheme", "value": screen.scheme });
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [scheme] }),
        );
        self.heard.clear();
        let address = format!("file://{}", page.display());
        let load = self.call("Page.navigate", &json!({ "url": address }))["loaderId"].take();
        let shown = |event: &Value| {
            event["method"] == "Page.lifecycleEvent"
                && event["params"]["name"] == "load"
                && event["params"]["loaderId"] == load
        };
        while !self.heard.iter().any(shown) {
            let event = self.next();
            self.heard.push(event);
        }
        // What the page said before it is told before the answer.
        self.ask("0");
        Opened {
            console: self.told(&[
                ("Log.entryAdded", "/entry/text"),
                ("Runtime.consoleAPICalled", "/args"),
                ("Runtime.exceptionThrown", "/exceptionDetails"),
            ]),
            requests: self.told(&[("Network.requestWillBeSent", "/request/url")]),
        }
    }

    /// The value of an expression of JavaScript in the page.
    pub(crate) fn ask(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].take()
    }

    /// The part that is named of each event of these methods.
    fn told(&self, wanted: &[(&str, &str)]) -> Vec<String> {
        let part = |event: &Value| {
            let (_, path) = wanted
                .iter()
                .find(|(method, _)| event["method"] == *method)?;
            let part = event["params"].pointer(path)?;
            Some(
                part.as_str()
                    .map_or_else(|| part.to_string(), str::to_owned),
            )
        };
        self.heard.iter().filter_map(part).collect()
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let mut question = json!({ "id": self.asked, "method": method, "params": params });
        if let Some(tab) = &self.tab {
            question["sessionId"] = json!(tab);
        }
        let to = self.to.as_mut().unwrap();
        write!(to, "{question}\0").unwrap();
        to.flush().unwrap();
        loop {
            let mut message = self.next();
            if message["id"] == self.asked {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.heard.push(message);
        }
    }

    fn next(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser ended");
        serde_json::from_slice(&bytes).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.to.take());
        self.child.wait().ok();
    }
}
