//! The part of pickle's instructions that a table of tensors needs (protocols 2 to 4).

use std::collections::HashMap;
use std::rc::Rc;

use super::PytorchProblem;
use super::value::{Storage, Value, result_of, storage_of};

/// Runs a pickle up to its end; gives its value and its length in bytes. `seen` is told of every storage.
///
/// # Errors
///
/// [`PytorchProblem`] if it is damaged or more than a table of tensors.
pub fn run(bytes: &[u8], seen: &mut dyn FnMut(&Storage)) -> Result<(Value, usize), PytorchProblem> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let at = machine.at;
        let [code] = machine.take::<1>()?;
        if code == b'.' {
            return Ok((machine.pop()?.value, machine.at));
        }
        if !machine.step(code, seen)? {
            return Err(PytorchProblem::Instruction { code, at });
        }
    }
}

/// How deep values may lie inside of others. Values are dropped by recursion, so a file may not choose the depth; a
/// checkpoint's tensors lie less than ten deep.
const DEEPEST: usize = 100;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Placed>,
    memo: HashMap<u32, Placed>,
}

/// A value on the stack.
#[derive(Clone)]
struct Placed {
    value: Value,
    /// How many values lie inside of each other in it.
    depth: usize,
}

/// The values alone, and the depth of what holds them.
fn inside(parts: Vec<Placed>) -> (Vec<Value>, usize) {
    let depth = parts.iter().map(|part| part.depth + 1).max().unwrap_or(0);
    (parts.into_iter().map(|part| part.value).collect(), depth)
}

impl Machine<'_> {
    /// One instruction; false if it is not known.
    fn step(&mut self, code: u8, seen: &mut dyn FnMut(&Storage)) -> Result<bool, PytorchProblem> {
        match code {
            0x80 => drop(self.take::<1>()?), // protocol
            0x95 => drop(self.take::<8>()?), // frame
            b'(' => self.push(Value::Mark),
            b'}' => self.push(Value::Dict(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Rc::new([]))),
            b'N' | 0x88 | 0x89 => self.push(Value::Opaque), // None, True, False
            b'G' => {
                self.take::<8>()?; // a float
                self.push(Value::Opaque);
            }
            b'K' | b'M' | b'J' => {
                let value = match code {
                    b'K' => i64::from(self.take::<1>()?[0]),
                    b'M' => i64::from(u16::from_le_bytes(self.take()?)),
                    _ => i64::from(i32::from_le_bytes(self.take()?)),
                };
                self.push(Value::Int(value));
            }
            0x8a => {
                let [length] = self.take()?;
                let value = self.long(usize::from(length))?;
                self.push(value);
            }
            b'X' => {
                let length = u32::from_le_bytes(self.take()?);
                self.text(length as usize)?;
            }
            0x8c => {
                let [length] = self.take()?;
                self.text(usize::from(length))?;
            }
            b'c' => {
                let name = format!("{} {}", self.line()?, self.line()?);
                self.push(Value::Global(name.into()));
            }
            0x93 => {
                let (name, module) = (self.pop()?.value, self.pop()?.value);
                let (Value::Text(name), Value::Text(module)) = (name, module) else {
                    return Err(self.damaged());
                };
                self.push(Value::Global(format!("{module} {name}").into()));
            }
            b'q' => {
                let [slot] = self.take()?;
                self.remember(u32::from(slot));
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.take()?);
                self.remember(slot);
            }
            0x94 => self.remember(self.memo.len() as u32),
            b'h' => {
                let [slot] = self.take()?;
                self.recall(u32::from(slot))?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.take()?);
                self.recall(slot)?;
            }
            b't' => {
                let parts = self.pop_to_mark()?;
                self.push_tuple(parts)?;
            }
            0x85..=0x87 => {
                let parts = self.pop_last(usize::from(code - 0x84))?;
                self.push_tuple(parts)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let pair = self.pop_last(2)?;
                self.set(pair)?;
            }
            b'u' => {
                let pairs = self.pop_to_mark()?;
                self.set(pairs)?;
            }
            b'b' => drop(self.pop()?), // attributes of an object
            b'Q' => {
                let storage = self.pop()?.value;
                let storage = storage_of(&storage).ok_or_else(|| self.damaged())?;
                seen(&storage);
                self.push(Value::Storage(storage));
            }
            b'R' => self.call()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn damaged(&self) -> PytorchProblem {
        PytorchProblem::CutShort { at: self.at }
    }

    fn slice(&mut self, length: usize) -> Result<&[u8], PytorchProblem> {
        let start = self.at;
        let end = start.checked_add(length).filter(|end| *end <= self.bytes.len());
        self.at = end.ok_or_else(|| self.damaged())?;
        Ok(&self.bytes[start..self.at])
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PytorchProblem> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.slice(N)?);
        Ok(bytes)
    }

    fn line(&mut self) -> Result<String, PytorchProblem> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == b'\n');
        let length = length.ok_or_else(|| self.damaged())?;
        let line = String::from_utf8_lossy(self.slice(length)?).into_owned();
        self.at += 1;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Result<(), PytorchProblem> {
        let text = String::from_utf8_lossy(self.slice(length)?).into_owned();
        self.push(Value::Text(text.into()));
        Ok(())
    }

    /// A whole number of any length; one of more than 64 bits has no part in a table.
    fn long(&mut self, length: usize) -> Result<Value, PytorchProblem> {
        let bytes = self.slice(length)?;
        if bytes.len() > 8 {
            return Ok(Value::Opaque);
        }
        let fill = if bytes.last().is_some_and(|last| *last >= 0x80) {
            0xff
        } else {
            0
        };
        let mut whole = [fill; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }

    /// A value with nothing inside.
    fn push(&mut self, value: Value) {
        self.stack.push(Placed { value, depth: 0 });
    }

    fn push_tuple(&mut self, parts: Vec<Placed>) -> Result<(), PytorchProblem> {
        let (parts, depth) = inside(parts);
        self.check_depth(depth)?;
        self.stack.push(Placed {
            value: Value::Tuple(parts.into()),
            depth,
        });
        Ok(())
    }

    fn call(&mut self) -> Result<(), PytorchProblem> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        // The result may be one of the arguments.
        self.stack.push(Placed {
            value: result_of(&callee.value, &arguments.value),
            depth: arguments.depth,
        });
        Ok(())
    }

    fn check_depth(&self, depth: usize) -> Result<(), PytorchProblem> {
        if depth <= DEEPEST {
            return Ok(());
        }
        Err(PytorchProblem::Nested {
            most: DEEPEST,
            at: self.at,
        })
    }

    fn pop(&mut self) -> Result<Placed, PytorchProblem> {
        self.stack.pop().ok_or_else(|| self.damaged())
    }

    fn pop_last(&mut self, count: usize) -> Result<Vec<Placed>, PytorchProblem> {
        let start = self
            .stack
            .len()
            .checked_sub(count)
            .ok_or_else(|| self.damaged())?;
        Ok(self.stack.split_off(start))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Placed>, PytorchProblem> {
        let mark = self
            .stack
            .iter()
            .rposition(|part| matches!(part.value, Value::Mark));
        let mark = mark.ok_or_else(|| self.damaged())?;
        let parts = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(parts)
    }

    fn append(&mut self, items: Vec<Placed>) -> Result<(), PytorchProblem> {
        let (items, depth) = inside(items);
        self.check_depth(depth)?;
        if let Some(top) = self.stack.last_mut()
            && let Value::List(list) = &mut top.value
        {
            list.extend(items);
            top.depth = top.depth.max(depth);
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<Placed>) -> Result<(), PytorchProblem> {
        let (items, depth) = inside(items);
        self.check_depth(depth)?;
        if let Some(top) = self.stack.last_mut()
            && let Value::Dict(dict) = &mut top.value
        {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                dict.push((key, value));
            }
            top.depth = top.depth.max(depth);
        }
        Ok(())
    }

    /// Lists and dictionaries change after they are remembered, and no table refers to one twice: they are not kept.
    fn remember(&mut self, slot: u32) {
        let top = self.stack.last();
        let kept = top.filter(|top| !matches!(top.value, Value::List(_) | Value::Dict(_)));
        let opaque = || Placed {
            value: Value::Opaque,
            depth: 0,
        };
        self.memo.insert(slot, kept.cloned().unwrap_or_else(opaque));
    }

    fn recall(&mut self, slot: u32) -> Result<(), PytorchProblem> {
        let value = self.memo.get(&slot).cloned().ok_or_else(|| self.damaged())?;
        self.stack.push(value);
        Ok(())
    }
}
