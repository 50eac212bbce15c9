//! The rooms for JavaScript. Values become plain objects through JSON, in which a number that is not finite is `null`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::missing_errors_doc,
    reason = "each is documented where it is computed, and reachable from JavaScript"
)]

use js_sys::{Array, Float64Array, JSON, Reflect, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use crate::errors::ErrorKind;
use crate::limits::FILES;
use crate::series::SeriesOptions;
use crate::text::TextOptions;
use crate::three_steps::ThreeStepsOptions;
use crate::through_time::ThroughTimeOptions;
use crate::{device, limits, line, series, text, three_steps, through_time};

/// A value or an `Error` with a `kind`.
type Value<T = JsValue> = Result<T, JsValue>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    fn error(message: &str);
}

/// What a panic says would be lost; there should be none.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

fn error_object(message: &str, kind: ErrorKind) -> JsValue {
    let error = JsValue::from(js_sys::Error::new(message));
    // It has no setter that could refuse.
    let _ = Reflect::set(&error, &"kind".into(), &kind.name().into());
    error
}

fn failed(message: impl std::fmt::Display) -> JsValue {
    error_object(&message.to_string(), ErrorKind::Input)
}

/// The library's sentence.
fn refused(error: bptt::Error) -> JsValue {
    error_object(&error.to_string(), ErrorKind::of(&error))
}

/// An object of JavaScript.
fn to_js(value: &(impl Serialize + ?Sized)) -> Value {
    let text = serde_json::to_string(value).map_err(failed)?;
    JSON::parse(&text).map_err(|_| failed("a value that JSON cannot hold"))
}

fn sent<T: Serialize>(value: bptt::Result<T>) -> Value {
    to_js(&value.map_err(refused)?)
}

/// Settings from an object of JavaScript.
fn options<T: DeserializeOwned>(value: &JsValue) -> Value<T> {
    let text = JSON::stringify(value).map_err(|_| failed("the settings: expected an object"))?;
    serde_json::from_str(&String::from(text)).map_err(|error| failed(format!("the settings: {error}")))
}

/// The bytes of a file, refused before they are copied if they are too many.
fn bytes(what: &str, value: &JsValue, limit: usize) -> Value<Vec<u8>> {
    if let Some(array) = value.dyn_ref::<Uint8Array>() {
        limits::file(what, array.length() as usize, limit).map_err(refused)?;
        return Ok(array.to_vec());
    }
    match value.dyn_ref::<js_sys::JsString>() {
        Some(text) => {
            limits::file(what, text.length() as usize, limit).map_err(refused)?;
            Ok(String::from(text).into_bytes())
        }
        None => Err(failed(format!("{what}: expected bytes or a text"))),
    }
}

#[wasm_bindgen]
pub fn version() -> String {
    crate::version()
}

/// The most bytes of each kind of file.
#[wasm_bindgen]
pub fn file_limits() -> Value {
    to_js(&FILES)
}

#[wasm_bindgen]
pub struct Device(device::Device);

#[wasm_bindgen]
pub async fn open_device(choice: String) -> Value<Device> {
    device::Device::open(&choice).await.map(Device).map_err(refused)
}

#[wasm_bindgen]
impl Device {
    pub fn describe(&self) -> Value {
        to_js(self.0.describe())
    }
}

#[wasm_bindgen]
pub struct Line(line::Line);

#[wasm_bindgen]
impl Line {
    #[wasm_bindgen(constructor)]
    pub fn new(points: &Float64Array, slope: f64, intercept: f64) -> Value<Self> {
        line::Line::new(&points.to_vec(), slope, intercept).map(Self).map_err(refused)
    }

    pub fn set_points(&mut self, points: &Float64Array) -> Value<()> {
        self.0.set_points(&points.to_vec()).map_err(refused)
    }

    pub fn numbers(&mut self) -> Value {
        sent(self.0.numbers())
    }

    pub fn step(&mut self, learning_rate: f64) -> Value {
        sent(self.0.step(learning_rate))
    }

    pub fn set(&mut self, slope: f64, intercept: f64) -> Value<()> {
        self.0.set(slope, intercept).map_err(refused)
    }
}

#[wasm_bindgen]
pub struct ThreeSteps(three_steps::ThreeSteps);

#[wasm_bindgen]
impl ThreeSteps {
    #[wasm_bindgen(constructor)]
    pub fn new(settings: &JsValue) -> Value<Self> {
        let settings: ThreeStepsOptions = options(settings)?;
        three_steps::ThreeSteps::new(settings).map(Self).map_err(refused)
    }

    pub fn numbers(&self) -> Value {
        sent(self.0.numbers())
    }

    pub fn update(&mut self, learning_rate: f64) -> Value {
        sent(self.0.update(learning_rate))
    }

    pub fn set(&mut self, name: &str, row: usize, column: usize, value: f64) -> Value {
        sent(self.0.set(name, row, column, value))
    }
}

#[wasm_bindgen]
pub struct ThroughTime(through_time::ThroughTime);

#[wasm_bindgen]
impl ThroughTime {
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, settings: &JsValue) -> Value<Self> {
        let settings: ThroughTimeOptions = options(settings)?;
        through_time::ThroughTime::new(&device.0, &settings).map(Self).map_err(refused)
    }

    pub fn names(&self) -> Array {
        self.0.names().into_iter().map(JsValue::from).collect()
    }

    pub async fn prepare(&mut self) -> Value {
        sent(self.0.prepare().await)
    }

    pub async fn step(&mut self, network: usize, steps: usize) -> Value {
        sent(self.0.step(network, steps).await)
    }

    pub async fn gradient(&mut self, network: usize) -> Value {
        sent(self.0.gradient(network).await)
    }

    pub fn set_clip(&mut self, clip: Option<f64>) -> Value<()> {
        self.0.set_clip(clip).map_err(refused)
    }

    pub fn set_learning_rate(&mut self, rate: f64) -> Value<()> {
        self.0.set_learning_rate(rate).map_err(refused)
    }
}

#[wasm_bindgen]
pub struct TextRoom(text::TextRoom);

#[wasm_bindgen]
impl TextRoom {
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, text: &JsValue, settings: &JsValue) -> Value<Self> {
        let settings: TextOptions = options(settings)?;
        text::TextRoom::new(&device.0, bytes("the text", text, FILES.text)?, &settings).map(Self).map_err(refused)
    }

    pub fn describe(&self) -> Value {
        sent(self.0.describe())
    }

    pub async fn prepare(&mut self) -> Value {
        sent(self.0.prepare().await)
    }

    pub async fn step(&mut self, steps: usize) -> Value {
        sent(self.0.step(steps).await)
    }

    pub fn set_learning_rate(&mut self, rate: f64) -> Value<()> {
        self.0.set_learning_rate(rate).map_err(refused)
    }

    pub async fn validate(&mut self) -> Value {
        sent(self.0.validate().await)
    }

    pub async fn sample(&mut self, prime: String, length: usize, temperature: f64, seed: u32) -> Value<String> {
        self.0.sample(&prime, length, temperature, seed.into()).await.map_err(refused)
    }

    pub async fn model_file(&mut self) -> Value<Uint8Array> {
        self.0.model_file().await.map(|bytes| Uint8Array::from(&bytes[..])).map_err(refused)
    }
}

#[wasm_bindgen]
pub struct SeriesRoom(series::SeriesRoom);

#[wasm_bindgen]
impl SeriesRoom {
    pub fn sunspots() -> String {
        series::sunspots().into()
    }

    pub fn columns(csv: &JsValue) -> Value {
        sent(series::columns(&bytes("the CSV file", csv, FILES.table)?))
    }

    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, csv: &JsValue, settings: &JsValue) -> Value<Self> {
        let settings: SeriesOptions = options(settings)?;
        series::SeriesRoom::new(&device.0, &bytes("the CSV file", csv, FILES.table)?, &settings)
            .map(Self)
            .map_err(refused)
    }

    pub async fn from_model(device: &Device, model: JsValue, csv: JsValue) -> Value<Self> {
        let (model, csv) = (bytes("the model", &model, FILES.model)?, bytes("the CSV file", &csv, FILES.table)?);
        series::SeriesRoom::from_model(&device.0, &model, &csv).map(Self).map_err(refused)
    }

    pub fn describe(&self) -> Value {
        to_js(&self.0.describe())
    }

    pub async fn prepare(&mut self) -> Value {
        sent(self.0.prepare().await)
    }

    pub async fn step(&mut self, steps: usize) -> Value {
        sent(self.0.step(steps).await)
    }

    pub fn set_learning_rate(&mut self, rate: f64) -> Value<()> {
        self.0.set_learning_rate(rate).map_err(refused)
    }

    pub async fn predict(&mut self) -> Value {
        sent(self.0.predict().await)
    }

    pub async fn results(&mut self, rows: usize) -> Value {
        sent(self.0.results(rows).await)
    }

    pub async fn model_file(&mut self) -> Value<Uint8Array> {
        self.0.model_file().await.map(|bytes| Uint8Array::from(&bytes[..])).map_err(refused)
    }
}
