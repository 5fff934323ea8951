//! Runs the pickle program of a torch checkpoint on a machine that can only build data.
//!
//! The opcodes are those that `torch.save` emits (protocol 2, and 4 where a caller chose it). A `GLOBAL` is looked up
//! in a short list ([`Global`]) of what a state dict is made of; any other is an error that names it. Nothing is
//! imported, called or executed.
//!
//! Values live in flat arenas and refer to each other by index: a program cannot build a cycle that leaks, or a
//! nesting that overflows the stack when it is dropped. Text stays where it is in the file.
//!
//! Opcodes: <https://github.com/python/cpython/blob/v3.13.0/Lib/pickletools.py>.

use std::collections::HashMap;

use super::global::Global;

/// The largest program that is read: hundreds of times that of a large model.
const MAX_BYTES: usize = 32 << 20;
/// The most opcodes that are run; a tensor takes about fifty.
const MAX_OPCODES: usize = 1_000_000;

/// What is wrong with a pickle.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleFault {
    /// A program that is longer than any state dict needs.
    #[error("the program is too long for a state dict")]
    TooLong,
    /// The program ends before its `STOP`.
    #[error("cut at byte {at}; fetch it again")]
    Cut {
        /// Where more was expected.
        at: usize,
    },
    /// An opcode that state dicts do not use.
    #[error("opcode {opcode:#04x} at byte {at}, which weights do not need")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Where it stands.
        at: usize,
    },
    /// A name outside the list of what a state dict is made of.
    #[error("refers to `{module}.{name}`, which weights do not need; it is not loaded")]
    Global {
        /// The Python module.
        module: String,
        /// The name in it.
        name: String,
    },
    /// An opcode found other values than it needs.
    #[error("bad operands for opcode {opcode:#04x} at byte {at}")]
    Operands {
        /// The opcode.
        opcode: u8,
        /// Where it stands.
        at: usize,
    },
    /// The result is not a dict of tensors.
    #[error("it holds no state dict")]
    NoStateDict,
    /// One tensor is described in a way that makes no sense.
    #[error("tensor `{name}` has {what}")]
    Tensor {
        /// The tensor.
        name: String,
        /// "a shape and strides of different lengths", ...
        what: &'static str,
    },
}

/// A value; text borrows from the program.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    None,
    Bool,
    Int(i64),
    Float,
    Text(&'a str),
    Bytes,
    Global(Global),
    Tuple(usize),
    List,
    Dict(usize),
    Storage(usize),
    Tensor(usize),
}

/// A storage as a persistent id names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage<'a> {
    pub(super) dtype: crate::Dtype,
    /// The name of its entry under `data/`.
    pub(super) key: &'a str,
    pub(super) elements: usize,
}

/// A tensor: a view of a storage. Shape and strides are tuples of the heap.
#[derive(Debug, Clone, Copy)]
struct Tensor {
    storage: usize,
    offset: usize,
    shape: usize,
    strides: usize,
}

/// A tensor of a state dict, with numbers in elements of its storage.
#[derive(Debug)]
pub(super) struct NamedTensor<'a> {
    pub(super) name: &'a str,
    pub(super) storage: Storage<'a>,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// All that a program built, and its result.
pub(super) struct Heap<'a> {
    tuples: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    storages: Vec<Storage<'a>>,
    tensors: Vec<Tensor>,
    result: Value<'a>,
}

/// Runs a program to its `STOP`.
pub(super) fn run(program: &[u8]) -> Result<Heap<'_>, PickleFault> {
    if program.len() > MAX_BYTES {
        return Err(PickleFault::TooLong);
    }
    let mut machine = Machine::new(program);
    for _ in 0..MAX_OPCODES {
        let at = machine.at;
        let opcode = machine.byte()?;
        if opcode == b'.' {
            let result = machine.pop();
            let operands = PickleFault::Operands { opcode, at };
            machine.heap.result = result.ok_or(operands)?;
            return Ok(machine.heap);
        }
        machine.step(opcode, at)?;
    }
    Err(PickleFault::TooLong)
}

impl<'a> Heap<'a> {
    /// The tensors of the state dict: the result itself, or what it holds under `state_dict`. Other values are left
    /// out. A repeated key counts once, with its last value.
    pub(super) fn state_dict(&self) -> Result<Vec<NamedTensor<'a>>, PickleFault> {
        let Value::Dict(top) = self.result else {
            return Err(PickleFault::NoStateDict);
        };
        let nested = self.dicts[top].iter().rev().find_map(|pair| match pair {
            (Value::Text("state_dict"), Value::Dict(nested)) => Some(*nested),
            _ => None,
        });
        let mut last = HashMap::new();
        for pair in &self.dicts[nested.unwrap_or(top)] {
            if let (Value::Text(name), Value::Tensor(tensor)) = *pair {
                last.insert(name, self.tensors[tensor]);
            }
        }
        if last.is_empty() {
            return Err(PickleFault::NoStateDict);
        }
        let tensors = last.into_iter();
        tensors
            .map(|(name, tensor)| self.named(name, tensor))
            .collect()
    }

    fn named(&self, name: &'a str, tensor: Tensor) -> Result<NamedTensor<'a>, PickleFault> {
        let sizes = |tuple| {
            self.sizes(tuple).ok_or_else(|| PickleFault::Tensor {
                name: name.into(),
                what: "a shape or strides that are not a few numbers from zero up",
            })
        };
        Ok(NamedTensor {
            name,
            storage: self.storages[tensor.storage],
            offset: tensor.offset,
            shape: sizes(tensor.shape)?,
            strides: sizes(tensor.strides)?,
        })
    }

    /// A tuple of numbers that are not negative.
    fn sizes(&self, tuple: usize) -> Option<Vec<usize>> {
        /// More axes than any weight has.
        const MAX_AXES: usize = 16;
        let values = &self.tuples[tuple];
        if values.len() > MAX_AXES {
            return None;
        }
        let size = |value: &Value<'_>| match value {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        };
        values.iter().map(size).collect()
    }
}

/// The pickle machine: a program, a stack with marks, and a memo.
struct Machine<'a> {
    program: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at which a `MARK` stands.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    heap: Heap<'a>,
}

impl<'a> Machine<'a> {
    fn new(program: &'a [u8]) -> Machine<'a> {
        Machine {
            program,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            heap: Heap {
                tuples: Vec::new(),
                dicts: Vec::new(),
                storages: Vec::new(),
                tensors: Vec::new(),
                result: Value::None,
            },
        }
    }

    fn step(&mut self, opcode: u8, at: usize) -> Result<(), PickleFault> {
        let done = match opcode {
            b'}' | b']' | b')' | b't' | b'\x85' | b'\x86' | b'\x87' | b'a' | b'e' | b's' | b'u' => {
                self.container(opcode)
            }
            b'c' | b'\x93' | b'R' | b'b' | b'Q' => self.construct(opcode)?,
            b'q' | b'r' | b'\x94' | b'h' | b'j' => self.remember(opcode)?,
            b'(' => {
                self.marks.push(self.stack.len());
                Some(())
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_mark().map(|_| ()),
            // PROTO and FRAME say nothing that reading needs.
            b'\x80' => self.skip(1).map(Some)?,
            b'\x95' => self.skip(8).map(Some)?,
            _ => {
                let value = self.literal(opcode, at)?;
                self.stack.push(value);
                Some(())
            }
        };
        done.ok_or(PickleFault::Operands { opcode, at })
    }

    /// Numbers, text and the singletons.
    fn literal(&mut self, opcode: u8, at: usize) -> Result<Value<'a>, PickleFault> {
        Ok(match opcode {
            b'N' => Value::None,
            b'\x88' | b'\x89' => Value::Bool,
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'\x8a' => {
                let length = self.byte()?.into();
                let digits = self.take(length)?;
                Value::Int(long(digits).ok_or(PickleFault::Operands { opcode, at })?)
            }
            b'G' => {
                self.skip(8)?;
                Value::Float
            }
            // Python 2's byte strings hold names too.
            b'X' | b'T' | b'U' | b'\x8c' | b'\x8d' => {
                let text = self.counted(opcode)?;
                let text = std::str::from_utf8(text);
                Value::Text(text.map_err(|_| PickleFault::Operands { opcode, at })?)
            }
            b'B' | b'C' | b'\x8e' => {
                self.counted(opcode)?;
                Value::Bytes
            }
            _ => return Err(PickleFault::Opcode { opcode, at }),
        })
    }

    /// Bytes after their length, whose width the opcode tells.
    fn counted(&mut self, opcode: u8) -> Result<&'a [u8], PickleFault> {
        let length = match opcode {
            b'U' | b'\x8c' | b'C' => self.byte()?.into(),
            b'\x8d' | b'\x8e' => u64::from_le_bytes(self.array()?),
            _ => u32::from_le_bytes(self.array()?).into(),
        };
        self.take(length)
    }

    /// Builds and fills tuples, lists and dicts. Lists are never looked into, so they keep nothing.
    fn container(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b'}' => self.push_dict(),
            b']' => self.stack.push(Value::List),
            b')' => self.push_tuple(Vec::new()),
            b't' => {
                let values = self.pop_mark()?;
                self.push_tuple(values);
            }
            b'\x85' | b'\x86' | b'\x87' => {
                let count = usize::from(opcode - 0x84);
                let start = self.floor_checked(count)?;
                let values = self.stack.split_off(start);
                self.push_tuple(values);
            }
            b'a' => {
                self.pop()?;
                self.list()?;
            }
            b'e' => {
                self.pop_mark()?;
                self.list()?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                let dict = self.dict()?;
                self.heap.dicts[dict].push((key, value));
            }
            _ => {
                let values = self.pop_mark()?;
                let dict = self.dict()?;
                let (pairs, rest) = values.as_chunks::<2>();
                if !rest.is_empty() {
                    return None;
                }
                let pairs = pairs.iter().map(|[key, value]| (*key, *value));
                self.heap.dicts[dict].extend(pairs);
            }
        }
        Some(())
    }

    /// Names from the list, what they make, and persistent ids.
    fn construct(&mut self, opcode: u8) -> Result<Option<()>, PickleFault> {
        Ok(match opcode {
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push_global(module, name)?;
                Some(())
            }
            b'\x93' => match (self.pop(), self.pop()) {
                (Some(Value::Text(name)), Some(Value::Text(module))) => {
                    self.push_global(module, name)?;
                    Some(())
                }
                _ => None,
            },
            b'R' => self.reduce(),
            // A state dict's `_metadata` (module versions) is all that may be attached, and it is not needed.
            b'b' => self.pop().and_then(|_| self.dict()).map(|_| ()),
            _ => self.persistent_id(),
        })
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), PickleFault> {
        let global = Global::find(module, name).ok_or_else(|| PickleFault::Global {
            module: printable(module),
            name: printable(name),
        })?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn reduce(&mut self) -> Option<()> {
        let Value::Tuple(arguments) = self.pop()? else {
            return None;
        };
        let Value::Global(callable) = self.pop()? else {
            return None;
        };
        match (callable, &self.heap.tuples[arguments][..]) {
            (Global::OrderedDict, []) => self.push_dict(),
            (Global::Size, [Value::Tuple(axes)]) => self.stack.push(Value::Tuple(*axes)),
            (Global::RebuildParameter, [Value::Tensor(tensor), ..]) => {
                self.stack.push(Value::Tensor(*tensor));
            }
            (
                Global::RebuildTensor,
                [
                    Value::Storage(storage),
                    Value::Int(offset),
                    Value::Tuple(shape),
                    Value::Tuple(strides),
                    ..,
                ],
            ) => {
                let tensor = Tensor {
                    storage: *storage,
                    offset: usize::try_from(*offset).ok()?,
                    shape: *shape,
                    strides: *strides,
                };
                self.heap.tensors.push(tensor);
                let tensor = Value::Tensor(self.heap.tensors.len() - 1);
                self.stack.push(tensor);
            }
            _ => return None,
        }
        Some(())
    }

    /// `('storage', type, key, device, elements)`
    fn persistent_id(&mut self) -> Option<()> {
        let Value::Tuple(id) = self.pop()? else {
            return None;
        };
        let [
            Value::Text("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Text(key),
            Value::Text(_),
            Value::Int(elements),
        ] = self.heap.tuples[id][..]
        else {
            return None;
        };
        self.heap.storages.push(Storage {
            dtype,
            key,
            elements: usize::try_from(elements).ok()?,
        });
        let storage = Value::Storage(self.heap.storages.len() - 1);
        self.stack.push(storage);
        Some(())
    }

    /// Writes and reads the memo.
    fn remember(&mut self, opcode: u8) -> Result<Option<()>, PickleFault> {
        let index = match opcode {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            // The number of opcodes is bounded, and so is this.
            _ => self.memo.len() as u32,
        };
        let is_read = matches!(opcode, b'h' | b'j');
        Ok(if is_read {
            let value = self.memo.get(&index).copied();
            value.map(|value| self.stack.push(value))
        } else {
            let top = self.floor_checked(1).map(|at| self.stack[at]);
            top.map(|value| {
                self.memo.insert(index, value);
            })
        })
    }

    fn push_dict(&mut self) {
        self.heap.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.heap.dicts.len() - 1));
    }

    fn push_tuple(&mut self, values: Vec<Value<'a>>) {
        self.heap.tuples.push(values);
        self.stack.push(Value::Tuple(self.heap.tuples.len() - 1));
    }

    /// The height of the stack `count` values down, if they are all above the last mark.
    fn floor_checked(&self, count: usize) -> Option<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack
            .len()
            .checked_sub(count)
            .filter(|&at| at >= floor)
    }

    fn pop(&mut self) -> Option<Value<'a>> {
        self.floor_checked(1)?;
        self.stack.pop()
    }

    /// Everything above the last mark, which goes too.
    fn pop_mark(&mut self) -> Option<Vec<Value<'a>>> {
        let mark = self.marks.pop()?;
        Some(self.stack.split_off(mark))
    }

    /// The dict on top of the stack.
    fn dict(&self) -> Option<usize> {
        match self.stack[self.floor_checked(1)?] {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// That a list is on top of the stack.
    fn list(&self) -> Option<()> {
        matches!(self.stack[self.floor_checked(1)?], Value::List).then_some(())
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], PickleFault> {
        let rest = &self.program[self.at..];
        let length = usize::try_from(length).ok().filter(|&n| n <= rest.len());
        let cut = PickleFault::Cut {
            at: self.program.len(),
        };
        let length = length.ok_or(cut)?;
        self.at += length;
        Ok(&rest[..length])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleFault> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.try_into().expect("`take` gives as many as asked for"))
    }

    fn byte(&mut self) -> Result<u8, PickleFault> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn skip(&mut self, length: u64) -> Result<(), PickleFault> {
        self.take(length).map(|_| ())
    }

    /// The text up to the next newline, which is skipped.
    fn line(&mut self) -> Result<&'a str, PickleFault> {
        let at = self.at;
        let rest = &self.program[at..];
        let end = rest.iter().position(|&b| b == b'\n');
        let line = self.take(end.unwrap_or(rest.len()) as u64)?;
        self.skip(1)?;
        let opcode = b'c';
        std::str::from_utf8(line).map_err(|_| PickleFault::Operands { opcode, at })
    }
}

/// A little-endian two's complement number of any length, if it fits.
fn long(digits: &[u8]) -> Option<i64> {
    let sign = digits.last().is_some_and(|&b| b & 0x80 != 0);
    let mut wide = [if sign { 0xff } else { 0 }; 8];
    wide.get_mut(..digits.len())?.copy_from_slice(digits);
    Some(i64::from_le_bytes(wide))
}

/// A name for an error message: short, and without control characters.
fn printable(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_CHARS)
        .collect()
}
