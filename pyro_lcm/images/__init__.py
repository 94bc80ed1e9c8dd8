"""What is special to pixels: codes of images, and training on the images themselves."""
