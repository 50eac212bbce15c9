//! A device that is lost, and one without memory.

use crate::common::Case;
use crate::common::gpu::{gpu, open};
use bptt::gpu::{GpuOptions, required_features, required_limits};
use bptt::wgpu;
use bptt::{
    Backend, Cell, EngineOptions, Error, Gpu, Inference, Layers, Optimizer, OptimizerStep, Parameters, Trainer,
    TrainerOptions, Training,
};
use pollster::block_on;

#[track_caller]
fn lost<T>(result: bptt::Result<T>) {
    match result.err() {
        Some(Error::DeviceLost(_)) => {}
        other => panic!("expected the loss of the device, got {other:?}"),
    }
}

#[test]
fn every_call_on_a_lost_device_reports_the_loss() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let case = Case::new(Cell::Lstm);
    let batch = case.batch();
    let engine = EngineOptions::default().input_gradient(true);
    let options = TrainerOptions::default().engine(engine);
    let optimizer = Optimizer::adam(0.1);
    let mut trainer = Trainer::with_options(&gpu, &case.model(), optimizer, 1, options.clone()).unwrap();
    let state = block_on(trainer.state()).unwrap();
    block_on(trainer.step(&batch)).unwrap();
    gpu.device().destroy();

    // What was enqueued before may still be answered.
    let _ = block_on(trainer.finish());
    lost(block_on(trainer.step(&batch)).and_then(|_| block_on(trainer.finish())));
    lost(block_on(trainer.accumulate(&batch)));
    lost(block_on(trainer.state_dict()));
    lost(block_on(trainer.state()));
    lost(trainer.restore(&state));
    lost(block_on(trainer.predict(&batch.sequence)));
    let engine = trainer.engine();
    lost(block_on(engine.parameters()));
    lost(engine.set_parameters(&state.parameters));
    lost(block_on(engine.optimizer_state()));
    lost(engine.set_optimizer_state(&state.optimizer_state));
    lost(block_on(engine.gradients()));
    lost(block_on(engine.evaluate(&batch)));
    lost(block_on(engine.forward(&batch.sequence)));
    lost(block_on(engine.update(&OptimizerStep::new(optimizer, 2, 1.0))));
    lost(gpu.engine(&case.model(), &EngineOptions::default()));
}

#[test]
fn losing_one_device_does_not_affect_another() {
    let (Some(first), Some(second)) = (open(GpuOptions::default()), gpu()) else { return };
    let case = Case::new(Cell::Gru);
    let mut trainer = Trainer::new(&second, &case.model(), Optimizer::adam(0.1), 1).unwrap();
    first.device().destroy();
    lost(first.engine(&case.model(), &EngineOptions::default()));
    block_on(trainer.step(&case.batch())).unwrap();
    assert!(block_on(trainer.loss()).unwrap().is_some());
}

/// A device on which no buffer finds room, as one that another program has filled; `None` where none can be made.
fn full() -> Option<Gpu> {
    let wanted = gpu()?.info().clone();
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.memory_budget_thresholds.for_resource_creation = Some(0);
    let instance = wgpu::Instance::new(descriptor);
    let adapters = block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == wanted.name)?;
    let descriptor = wgpu::DeviceDescriptor {
        required_features: required_features(),
        required_limits: required_limits(&adapter.limits()),
        ..Default::default()
    };
    let (device, queue) = block_on(adapter.request_device(&descriptor)).unwrap();
    Some(Gpu::from_device(device, queue).unwrap())
}

#[test]
fn a_device_out_of_memory_names_the_tensor() {
    let Some(gpu) = full() else { return };
    let model = Case::new(Cell::Lstm).model();
    // Whoever opened the device handles its errors: by wgpu's default one that reaches it is a panic.
    let error = match gpu.engine(&model, &EngineOptions::default()) {
        Err(error) => error,
        Ok(_) => return println!("not run: the driver does not tell how full its memory is"),
    };
    assert!(matches!(&error, Error::OutOfMemory { tensor, bytes } if tensor == "parameters" && *bytes > 0), "{error}");
    assert!(error.to_string().contains("not enough GPU memory for parameters"), "{error}");
}
