"""Which pixels of a picture were manipulated: IML-ViT."""
