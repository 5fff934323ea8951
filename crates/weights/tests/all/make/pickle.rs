//! Writes the pickles that `torch.save` writes (protocol 2), and such as it never would.

/// A tensor as a state dict describes it.
#[derive(Clone)]
pub(crate) struct View<'a> {
    pub(crate) name: &'a str,
    /// `FloatStorage`, ...
    pub(crate) storage: &'a str,
    pub(crate) key: &'a str,
    /// Elements of the storage.
    pub(crate) elements: i32,
    pub(crate) offset: i32,
    pub(crate) shape: &'a [i32],
    pub(crate) strides: &'a [i32],
    /// Whether it is wrapped as a parameter.
    pub(crate) parameter: bool,
}

impl<'a> View<'a> {
    /// A tensor of f32 that fills the storage `key`.
    pub(crate) fn f32(
        name: &'a str,
        key: &'a str,
        shape: &'a [i32],
        strides: &'a [i32],
    ) -> View<'a> {
        View {
            name,
            storage: "FloatStorage",
            key,
            elements: shape.iter().product(),
            offset: 0,
            shape,
            strides,
            parameter: false,
        }
    }
}

/// An `OrderedDict` of tensors with `_metadata`, as `torch.save(module.state_dict())` writes it.
pub(crate) fn state_dict(tensors: &[View<'_>]) -> Vec<u8> {
    let mut p = Program::new();
    p.ordered_dict(tensors);
    p.stop()
}

/// `{"state_dict": ..., "epoch": 3}`, as Lightning writes it.
pub(crate) fn lightning(tensors: &[View<'_>]) -> Vec<u8> {
    let mut p = Program::new();
    p.raw(b"}(").text("epoch").int(3).text("state_dict");
    p.ordered_dict(tensors);
    p.raw(b"u");
    p.stop()
}

/// A pickle under construction.
pub(crate) struct Program(Vec<u8>);

impl Program {
    pub(crate) fn new() -> Program {
        Program(b"\x80\x02".to_vec())
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Program {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Program {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes());
        self.raw(text.as_bytes())
    }

    pub(crate) fn int(&mut self, n: i32) -> &mut Program {
        self.raw(b"J").raw(&n.to_le_bytes())
    }

    pub(crate) fn global(&mut self, module: &str, name: &str) -> &mut Program {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(crate) fn ints(&mut self, values: &[i32]) -> &mut Program {
        self.raw(b"(");
        for &n in values {
            self.int(n);
        }
        self.raw(b"t")
    }

    pub(crate) fn tensor(&mut self, t: &View<'_>) -> &mut Program {
        if t.parameter {
            self.global("torch._utils", "_rebuild_parameter").raw(b"(");
        }
        self.global("torch._utils", "_rebuild_tensor_v2").raw(b"((");
        self.text("storage").global("torch", t.storage);
        self.text(t.key).text("cpu").int(t.elements).raw(b"tQ");
        self.int(t.offset).ints(t.shape).ints(t.strides);
        self.raw(b"\x89")
            .global("collections", "OrderedDict")
            .raw(b")R");
        self.raw(b"tR");
        if t.parameter {
            self.raw(b"\x88")
                .global("collections", "OrderedDict")
                .raw(b")RtR");
        }
        self
    }

    pub(crate) fn ordered_dict(&mut self, tensors: &[View<'_>]) -> &mut Program {
        self.global("collections", "OrderedDict").raw(b")Rq\x00(");
        for t in tensors {
            self.text(t.name).tensor(t);
        }
        self.raw(b"u}").text("_metadata");
        self.global("collections", "OrderedDict").raw(b")R(");
        self.text("").raw(b"}").text("version").int(1).raw(b"su");
        self.raw(b"sb")
    }

    pub(crate) fn stop(&mut self) -> Vec<u8> {
        self.raw(b".");
        std::mem::take(&mut self.0)
    }
}
