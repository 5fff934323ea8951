"""A SentencePiece model and the Hugging Face tokenizer with the same ids."""

import io

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers.models.parakeet.tokenization_parakeet import ParakeetTokenizer

CORPUS = """
the quick brown fox jumps over the lazy dog and then it rests in the shade of the old tree
she said that the weather in the north is better than they think, isn't it?
we went to the station, waited for an hour and came home on the last train.
is there any other reason to stay here? nothing that i can see.
seven boxes of liquid jam were packed with great zeal by five experts
put the kettle on, then tell me what the doctor said about the results.
""".strip().splitlines()


def train_sentencepiece(size: int, control: tuple[str, ...], punctuation: bool) -> bytes:
    """A BPE model of `size` pieces: `<unk>`, the control symbols, then merges and characters. Returns the protobuf."""
    lines = CORPUS if punctuation else ["".join(c for c in line if c.isalpha() or c == " ") for line in CORPUS]
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        model_type="bpe",
        vocab_size=size,
        character_coverage=1.0,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        control_symbols=list(control),
        normalization_rule_name="identity",
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


def pieces(model: bytes) -> list[str]:
    parsed = proto.ModelProto()
    parsed.ParseFromString(model)
    return [piece.piece for piece in parsed.pieces]


def hugging_face(model: bytes, last: str, pad: str) -> ParakeetTokenizer:
    """The tokenizer that a converted checkpoint carries: the same ids, then `last` (blank, or CTC's pad) as id V."""
    names = pieces(model)
    control = proto.ModelProto.SentencePiece.Type.Value("CONTROL")
    parsed = proto.ModelProto()
    parsed.ParseFromString(model)
    vocabulary = {name: index for index, name in enumerate(names)}
    merges = [
        (name[:cut], name[cut:])
        for name, piece in zip(names, parsed.pieces)
        if piece.type == 1 and len(name) > 1
        for cut in range(1, len(name))
        if name[:cut] in vocabulary and name[cut:] in vocabulary
    ]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<unk>"] + [name for name, piece in zip(names, parsed.pieces) if piece.type == control] + [last]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    assert tokenizer.token_to_id(last) == len(names)
    return ParakeetTokenizer(tokenizer_object=tokenizer, unk_token="<unk>", pad_token=pad)
