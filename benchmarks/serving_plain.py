"""The other side of benchmarks/serving.py: FastAPI and torch.nn, as a tutorial would write it.

python benchmarks/serving_plain.py WEIGHTS PORT
"""

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from torch import Tensor, nn


class PlainModel(nn.Module):
    """A bidirectional LSTM with a linear layer on the last state of each direction."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, 64, num_layers=2, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(128, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        _, (h_n, _) = self.lstm(inputs)
        logits: Tensor = self.linear(torch.cat([h_n[-2], h_n[-1]], dim=1))
        return logits


class Request(BaseModel):
    sequence: list[list[float]]


def plain_app(weights: str) -> FastAPI:
    model = PlainModel()
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.eval()
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        with torch.inference_mode():
            logits = model(torch.tensor([request.sequence]))
        probabilities = logits[0].softmax(dim=0).tolist()
        label = max(range(10), key=probabilities.__getitem__)
        by_class = {str(n): p for n, p in enumerate(probabilities)}
        return {"predictions": [{"label": str(label), "probabilities": by_class}]}

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


if __name__ == "__main__":
    torch.set_num_threads(1)  # as bothways; with two, each waits for a core that clients use
    uvicorn.run(plain_app(sys.argv[1]), port=int(sys.argv[2]), access_log=False, log_level="error")
