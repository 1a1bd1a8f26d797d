"""A double: the gateway to which workers of Inngest connect.

It speaks what the SDK's own source says; there is no record of a real one to test it against.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import websockets
from inngest.connect._internal import connect_pb2 as pb
from starlette.requests import Request
from starlette.responses import Response

from bullq.dispatch.ids import new_job_id
from tests.support.inngest_runs import Answer

PROTOCOL = websockets.Subprotocol("v0.connect.inngest.com")
_STATUS = {pb.DONE: 200, pb.NOT_COMPLETED: 206, pb.ERROR: 500}


class Gateway:
    """Takes workers in, and asks them for what others are asked for over HTTP."""

    def __init__(self, take_functions: Any) -> None:
        self.is_up = True
        self.refuses = False
        self.workers: list[str] = []
        self.ready = asyncio.Event()
        self._take_functions = take_functions
        self._replies: dict[str, asyncio.Future[Any]] = {}
        self._connection: Any = None
        self._port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await websockets.serve(self._worker, "127.0.0.1", 0, subprotocols=[PROTOCOL])
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def start(self, _: Request) -> Response:
        """Answer POST /v0/connect/start."""
        if self.refuses:
            return Response(status_code=401)
        if not self.is_up:
            return Response(status_code=503)
        told = pb.StartResponse(
            connection_id=new_job_id(),
            gateway_endpoint=f"ws://127.0.0.1:{self._port}",
            gateway_group="double",
            session_token="s",
            sync_token="s",
        )
        return Response(told.SerializeToString())

    async def break_off(self) -> None:
        """End the connection, and take nobody in until `is_up` is set again."""
        self.is_up = False
        self.ready.clear()
        await self._connection.close()

    async def call(self, url: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        """Ask a worker; an answer as over HTTP."""
        await self.ready.wait()
        request_id = headers["x-request-id"]
        params = httpx.URL(url).params
        asked = pb.GatewayExecutorRequestData(
            request_id=request_id,
            app_name=params["fnId"].partition("-")[0],
            function_slug=params["fnId"],
            step_id=params["stepId"],
            request_payload=json.dumps(body).encode(),
            job_id=headers["x-inngest-job-id"],
            run_id=headers["x-run-id"],
        )
        future = self._replies[request_id] = asyncio.get_running_loop().create_future()
        await self._send(pb.GATEWAY_EXECUTOR_REQUEST, asked)
        reply = await future
        told = {"retry-after": reply.retry_after} if reply.HasField("retry_after") else {}
        if reply.no_retry:
            told["x-inngest-no-retry"] = "true"
        return Answer(_STATUS[reply.status], told, json.loads(reply.body))

    async def _worker(self, connection: Any) -> None:
        self._connection = connection
        await self._send(pb.GATEWAY_HELLO)
        with contextlib.suppress(websockets.ConnectionClosed):
            async for raw in connection:
                message = pb.ConnectMessage.FromString(raw)
                await self._take(message.kind, message.payload)

    async def _take(self, kind: int, payload: bytes) -> None:
        if kind == pb.WORKER_CONNECT:
            hello = pb.WorkerConnectRequestData.FromString(payload)
            self.workers.append(hello.instance_id)
            for app in hello.apps:
                self._take_functions(app.app_name, json.loads(app.functions))
            ready = pb.GatewayConnectionReadyData(
                heartbeat_interval="10s", extend_lease_interval="5s"
            )
            await self._send(pb.GATEWAY_CONNECTION_READY, ready)
            self.ready.set()
        elif kind == pb.WORKER_HEARTBEAT:
            await self._send(pb.GATEWAY_HEARTBEAT)
        elif kind == pb.WORKER_REPLY:
            reply = pb.SDKResponse.FromString(payload)
            self._replies.pop(reply.request_id).set_result(reply)
            await self._send(
                pb.WORKER_REPLY_ACK, pb.WorkerReplyAckData(request_id=reply.request_id)
            )

    async def _send(self, kind: Any, payload: Any = None) -> None:
        content = b"" if payload is None else payload.SerializeToString()
        message = pb.ConnectMessage(kind=kind, payload=content)
        await self._connection.send(message.SerializeToString())
