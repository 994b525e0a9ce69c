//! A publisher that uses the HTTP control API, with reqwest as its client.

use std::future::Future;

use serde_json::{Value, json};

use super::server::Server;
use super::wait::within;

/// Published again and again until a hold is seen to be subscribed.
pub const KNOCK: &str = "knock\n";

pub struct Publisher {
    url: String,
    client: reqwest::Client,
}

impl Publisher {
    pub fn new(server: &Server) -> Publisher {
        // reqwest is built without a choice of TLS provider, and insists on one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Publisher { url: format!("http://{}", server.control), client: reqwest::Client::new() }
    }

    /// Sends any body to any path; gives the status and the body of the answer.
    pub async fn post(&self, path: &str, body: impl Into<String>) -> (u16, String) {
        let request = self.client.post(format!("{}{path}", self.url)).body(body.into());
        self.send(request).await
    }

    /// Sends a request made with [`Publisher::request`].
    pub async fn send(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let answer = within("the control API", request.send()).await.expect("an answer");
        let status = answer.status().as_u16();
        (status, within("its body", answer.text()).await.expect("a body"))
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Publishes items, which must be accepted.
    pub async fn items(&self, items: Value) {
        let answer = self.post("/publish/", json!({ "items": items }).to_string()).await;
        assert_eq!(answer, (200, "Published\n".to_owned()));
    }

    /// Publishes one item.
    pub async fn formats(&self, channel: &str, formats: Value) {
        self.items(json!([{ "channel": channel, "formats": formats }])).await;
    }

    /// Publishes one item that says what it is, and perhaps what came before.
    pub async fn step(&self, channel: &str, id: &str, prev_id: Option<&str>, formats: Value) {
        let mut item = json!({ "channel": channel, "id": id, "formats": formats });
        if let Some(prev_id) = prev_id {
            item["prev-id"] = json!(prev_id);
        }
        self.items(json!([item])).await;
    }

    pub async fn stream(&self, channel: &str, content: &str) {
        self.formats(channel, json!({ "http-stream": { "content": content } })).await;
    }

    pub async fn close_stream(&self, channel: &str) {
        self.formats(channel, json!({ "http-stream": { "action": "close" } })).await;
    }

    pub async fn message(&self, channel: &str, content: &str) {
        self.formats(channel, json!({ "ws-message": { "content": content } })).await;
    }

    /// Publishes `formats` again and again until `heard` says that it came through.
    pub async fn until<F, H>(&self, channel: &str, formats: Value, mut heard: H)
    where
        H: FnMut() -> F,
        F: Future<Output = bool>,
    {
        within(&format!("a publish to {channel} to come through"), async {
            loop {
                self.formats(channel, formats.clone()).await;
                if heard().await {
                    return;
                }
            }
        })
        .await;
    }
}
