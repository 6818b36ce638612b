//! Memory, tables and instances of one call.

use latchkey_adapters::{Fault, Limits};
use wasmtime::ResourceLimiter;

/// Counts what the instance has, over all that it is made of.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    memory: u64,
    tables: u64,
    refused: Option<Fault>,
}

impl Limiter {
    /// Nothing yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, tables: 0, refused: None }
    }

    /// The last thing that was refused: probably why the component broke down.
    pub(crate) fn refused(&self) -> Option<&Fault> {
        self.refused.as_ref()
    }

    /// Memory in bytes, and elements of tables.
    pub(crate) fn in_use(&self) -> (u64, u64) {
        (self.memory, self.tables)
    }

    fn refuse(&mut self, fault: Fault) -> bool {
        self.refused = Some(fault);
        false
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _most: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_add(desired.saturating_sub(current) as u64);
        if wanted > self.limits.memory_bytes {
            // The component hears that there is no more, and may live with that.
            return Ok(self.refuse(Fault::Memory(self.limits.memory_bytes)));
        }
        self.memory = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _most: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.tables.saturating_add(desired.saturating_sub(current) as u64);
        if wanted > u64::from(self.limits.table_elements) {
            return Ok(self.refuse(Fault::Tables(self.limits.table_elements)));
        }
        self.tables = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }

    fn tables(&self) -> usize {
        self.limits.instances as usize
    }

    fn memories(&self) -> usize {
        self.limits.instances as usize
    }
}
