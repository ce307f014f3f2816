"""The training loop: batches, augmentation, loss, optimizer, averages, and the best epoch.

It knows nothing about files. Runs, which save and resume it, are in `bothways.training.run`.
"""
