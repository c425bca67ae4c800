"""`watchword models import`."""

from typing import Annotated

import typer

from pipeline.cli.models.options import ImageSample, NewBundle
from pipeline.cli.session import session_of


def import_(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Folder of a model, or its id on the Hugging Face hub.")],
    bundle: NewBundle,
    images: ImageSample,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle.  [default: the source's name]")] = None,
) -> None:
    """
    Convert a CLIP, SigLIP or SigLIP 2 model that `transformers` loads to a model bundle.

    The command converts towers, resizing and tokenizer. Then both the bundle and `transformers` encode the images and
    some texts, and a bundle whose embeddings differ is refused. A few dozen images are enough. Needs the extra
    `models`.

    Exit codes: 0 written, 2 refused or an error.

    Example: `watchword models import openai/clip-vit-base-patch32 --bundle out/clip-b32 --images samples/images`
    """
    from pipeline.cli.console import output
    from pipeline.counted import counted
    from pipeline.operations.models.import_ import import_model

    progress = session_of(context).progress
    imported = import_model(source, bundle, images, revision=revision, name=name, progress=progress)
    parity = imported.parity
    output().print(
        f"{counted(parity.images, 'image')}: lowest cosine {parity.image_cosine_min:.7f};  "
        f"{counted(parity.texts, 'text')}: the same tokens, lowest cosine {parity.text_cosine_min:.7f}"
    )
    output().print(f"`{bundle}`: model {imported.digest}")
