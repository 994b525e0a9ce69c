//! Bodies that come whole, in pieces, too large, or not at all.

use super::*;
use http_body_util::{Full, StreamBody};

type Frames = Vec<Result<Frame<Bytes>, std::io::Error>>;

fn pieces(sizes: &[usize]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
    let frames: Frames =
        sizes.iter().map(|n| Ok(Frame::data(Bytes::from(vec![b'x'; *n])))).collect();
    StreamBody::new(futures_util::stream::iter(frames))
}

#[tokio::test]
async fn a_small_body_is_whole_and_can_be_sent_again() {
    let upload = Upload::gather(Full::new(Bytes::from_static(b"abc")), 3, 0).await.unwrap();
    for _ in 0..2 {
        let body = upload.request_body().unwrap().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "abc");
    }
}

#[tokio::test]
async fn a_large_body_streams_once() {
    let upload = Upload::gather(pieces(&[9_000, 9_000, 9_000]), u64::MAX, 0).await.unwrap();
    assert!(matches!(upload, Upload::Partial(_)));
    assert!(upload.request_body().is_some());
    let body = upload.request_body().unwrap().collect().await.unwrap();
    assert_eq!(body.to_bytes().len(), 27_000);
    assert_eq!(upload.drain().await.unwrap(), Rest::WithinLimit);
}

#[tokio::test]
async fn what_was_read_can_be_sent_again_as_long_as_it_is_kept() {
    let upload = Upload::gather(pieces(&[9_000, 9_000, 9_000]), u64::MAX, 0).await.unwrap();
    // The first backend reads a part and breaks off.
    let mut first = upload.request_body().unwrap();
    assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap().len(), 18_000);
    drop(first);
    for _ in 0..2 {
        let again = upload.request_body().unwrap();
        assert_eq!(again.collect().await.unwrap().to_bytes().len(), 27_000);
    }
    let large = Upload::gather(pieces(&[50_000, 50_000, 1, 9]), u64::MAX, 0).await.unwrap();
    let body = large.request_body().unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 100_010);
    assert!(large.request_body().is_none());
}

#[tokio::test]
async fn what_no_backend_read_is_drained_up_to_the_limit() {
    let within = Upload::gather(pieces(&[50_000, 50_000]), u64::MAX, 0).await.unwrap();
    assert!(within.collected().is_none());
    assert_eq!(within.drain().await.unwrap(), Rest::WithinLimit);
    assert_eq!(within.collected().unwrap().len(), 100_000);
    let over = Upload::gather(pieces(&[50_000, 50_001, 50_000]), u64::MAX, 0).await.unwrap();
    assert_eq!(over.drain().await.unwrap(), Rest::OverLimit);
    assert!(over.collected().is_none());
}

#[tokio::test]
async fn a_body_over_its_limit_is_refused_as_soon_as_that_is_known() {
    let announced = Upload::gather(Full::new(Bytes::from_static(b"abcd")), 3, 0).await;
    assert!(matches!(announced, Err(UploadError::TooLarge(3))));
    let collected = Upload::gather(pieces(&[2, 2]), 3, 0).await;
    assert!(matches!(collected, Err(UploadError::TooLarge(3))));
    let streamed = Upload::gather(pieces(&[9_000, 9_000, 9_000]), 20_000, 0).await.unwrap();
    assert!(streamed.request_body().unwrap().collect().await.is_err());
    assert!(streamed.is_too_large());
}

#[tokio::test]
async fn who_is_silent_has_left() {
    let silent =
        StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
    let gathered = Upload::gather(silent, u64::MAX, 20).await;
    assert!(matches!(gathered, Err(UploadError::Silent)));
}

#[tokio::test]
async fn who_falls_silent_while_a_backend_reads_has_left_too() {
    let piece = || Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b'x'; 9_000])));
    let first = futures_util::stream::iter([piece(), piece()]);
    let silent = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let upload = Upload::gather(StreamBody::new(silent), u64::MAX, 20).await.unwrap();
    let mut body = upload.request_body().unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 18_000);
    assert!(body.frame().await.unwrap().is_err());
    assert!(matches!(upload.drain().await, Err(UploadError::Broken(_))));
    assert!(upload.is_silent());
}
