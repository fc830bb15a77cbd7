//! Requests to an S3 store, counted as they go over the wire: each try is one.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

const OPERATIONS: [&str; 6] = ["delete", "get", "head", "list", "multipart", "put"];

/// The counts of one store.
#[derive(Clone, Debug)]
pub struct Requests {
    seconds: HistogramVec,
    errors: IntCounterVec,
}

impl Requests {
    /// All at zero.
    ///
    /// # Errors
    /// Never with these names; the library checks them.
    pub fn new() -> Result<Requests, prometheus::Error> {
        let seconds = HistogramOpts::new("citystream_store_request_seconds", "From a request to S3 to its answer")
            .buckets(vec![0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        let errors =
            Opts::new("citystream_store_errors_total", "Requests to S3 without an answer, refused, or failed there");
        let requests = Requests {
            seconds: HistogramVec::new(seconds, &["operation"])?,
            errors: IntCounterVec::new(errors, &["operation"])?,
        };
        for operation in OPERATIONS {
            requests.seconds.with_label_values(&[operation]);
            requests.errors.with_label_values(&[operation]);
        }
        Ok(requests)
    }

    /// What is to be scraped.
    pub fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [Box::new(self.seconds.clone()), Box::new(self.errors.clone())]
    }

    fn count(&self, operation: &str, asked: Instant, is_answer: bool) {
        self.seconds.with_label_values(&[operation]).observe(asked.elapsed().as_secs_f64());
        if !is_answer {
            self.errors.with_label_values(&[operation]).inc();
        }
    }
}

impl HttpConnector for Requests {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Counted { inner, requests: self.clone() }))
    }
}

#[derive(Debug)]
struct Counted {
    inner: HttpClient,
    requests: Requests,
}

// The method is what `#[async_trait]` makes of the trait's.
impl HttpService for Counted {
    fn call<'a, 't>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 't>>
    where
        'a: 't,
        Self: 't,
    {
        Box::pin(async move {
            let (operation, asked) =
                (operation(request.method().as_str(), request.uri().query().unwrap_or_default()), Instant::now());
            let answer = self.inner.execute(request).await;
            self.requests.count(operation, asked, answer.as_ref().is_ok_and(|a| is_answer(a.status().as_u16())));
            answer
        })
    }
}

/// Whether a status tells of the object, not of the store: it is there, is not, or is another one.
fn is_answer(status: u16) -> bool {
    matches!(status, 200..=399 | 404 | 409 | 412 | 416)
}

fn operation(method: &str, query: &str) -> &'static str {
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match method {
        "GET" if has("list-type") => "list",
        "GET" => "get",
        "HEAD" => "head",
        "DELETE" if !has("uploadId") => "delete",
        "POST" if has("delete") => "delete",
        "PUT" if !has("uploadId") => "put",
        _ => "multipart",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_operation() {
        let of = |method, query| operation(method, query);
        assert_eq!([of("GET", ""), of("GET", "list-type=2&prefix=a"), of("HEAD", "")], ["get", "list", "head"]);
        assert_eq!([of("PUT", ""), of("PUT", "partNumber=1&uploadId=x")], ["put", "multipart"]);
        assert_eq!([of("POST", "uploads"), of("POST", "uploadId=x")], ["multipart"; 2]);
        assert_eq!(
            [of("POST", "delete"), of("DELETE", ""), of("DELETE", "uploadId=x")],
            ["delete", "delete", "multipart"]
        );
    }

    #[test]
    fn that_an_object_is_not_there_is_an_answer() {
        assert!([200, 204, 304, 404, 409, 412].into_iter().all(is_answer));
        assert!(![400, 401, 403, 408, 429, 500, 503].into_iter().any(is_answer));
    }
}
