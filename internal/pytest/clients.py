"""The Python client calls every tool, listens, and is asked, in both eras of the protocol. LAYERCAKE_URL leads to any replica."""

import asyncio
import json
import os
import re
import uuid
from pathlib import Path

from mcp import Client, MCPError
from mcp.types import ElicitResult

URL = os.environ["LAYERCAKE_URL"] + "/mcp"
PATIENCE = 60  # seconds for each test

# Calls that succeed one after the other. A text $name stands for what an earlier call learned of its result, by names and places in lists
# with dots between; $new for a new id.
CALLS = json.loads((Path(__file__).parent.parent / "npmtest" / "mcp" / "calls.json").read_text())


async def call(client, tool, arguments):
    """Returns the structured content of a call that succeeds. The client has compared it with the schema. The text says the same."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, (tool, arguments, result.content)
    assert len(result.content) == 1 and json.loads(result.content[0].text) == result.structured_content, (tool, result)
    return result.structured_content


async def fail(client, tool, arguments):
    """Returns the code of the error of a call that fails."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error and result.structured_content is None and len(result.content) == 1, (tool, arguments, result)
    return json.loads(result.content[0].text)["error"]["code"]


async def every_tool(mode):
    async with Client(URL, mode=mode) as client:
        assert client.server_info.name == "layercake"
        assert client.protocol_version == ("2026-07-28" if mode == "auto" else "2025-11-25"), client.protocol_version
        listed, cursor = set(), None
        while True:
            page = await client.list_tools(cursor=cursor)
            listed.update(tool.name for tool in page.tools)
            cursor = page.next_cursor
            if not cursor:
                break
        untried = listed - {c["tool"] for c in CALLS}
        assert not untried, f"tools that this script does not call: {untried}"

        known = {}

        def fill(value):
            match value:
                case "$new":
                    return str(uuid.uuid4())
                case str() if value.startswith("$"):
                    return known[value[1:]]
                case list():
                    return [fill(item) for item in value]
                case dict():
                    return {name: fill(item) for name, item in value.items()}
            return value

        def at(result, path):
            for key in path.split("."):
                result = result[int(key)] if isinstance(result, list) else result[key]
            return result

        for c in CALLS:
            if c["tool"] in listed:
                result = await call(client, c["tool"], fill(c["arguments"]))
                known |= {name: at(result, path) for name, path in c.get("learn", {}).items()}
        for tool in listed:
            code = await fail(client, tool, {"no_such_argument": 1})
            assert code == "BAD_REQUEST", (tool, code)


async def every_resource(mode):
    async with Client(URL, mode=mode) as client:
        if not client.server_capabilities.resources:
            return
        project = (await call(client, "create_project", {"name": "Tea"}))["id"]
        plan = (await call(client, "get_project", {"project_id": project}))["plan_id"]
        table = {"project_id": project, "nodes_csv": "id,label\na,Assam\n"}
        source = (await call(client, "import_csv", table))["data_sources"][0]["node_id"]
        operations = [{"op": "add_node", "id": "teas", "node_type": "GraphNode"}, {"op": "add_edge", "source": source, "target": "teas"}]
        await call(client, "edit_plan", {"project_id": project, "operations": operations})
        built = await call(client, "execute_plan", {"plan_id": plan, "wait_seconds": 25})
        assert built["status"] == "completed", built
        uris = [str(r.uri) for r in (await client.list_resources()).resources]
        uris = [uri for uri in uris if not uri.startswith("layercake://projects/")]  # other clients delete theirs
        for template in (await client.list_resource_templates()).resource_templates:
            values = {"project_id": project, "plan_id": plan, "format": "dot", "analysis_type": "connectivity"}
            uris.append(re.sub(r"{(\w+)}", lambda name: str(values[name[1]]), template.uri_template))
        for uri in uris:
            contents = (await client.read_resource(uri)).contents
            assert len(contents) == 1 and str(contents[0].uri) == uri, (uri, contents)
        try:
            await client.read_resource("layercake://cake")
            assert False, "a resource that is not there was read"
        except MCPError as e:
            assert e.code == -32602, e


async def every_prompt(mode):
    async with Client(URL, mode=mode) as client:
        if not client.server_capabilities.prompts:
            return
        project = (await call(client, "create_project", {"name": "Tea"}))["id"]
        texts = {"project_id": str(project), "goal": "Brew tea", "source_node": "a", "target_node": "b"}
        for prompt in (await client.list_prompts()).prompts:
            required = [a.name for a in prompt.arguments or [] if a.required]
            got = await client.get_prompt(prompt.name, {name: texts.get(name, "1") for name in required})
            assert got.messages and all(m.role == "user" for m in got.messages), (prompt.name, got)


async def listen(mode):
    if mode == "legacy":
        return  # the client has no way to hear of a resource before 2026
    async with Client(URL, mode=mode) as client:
        project = (await call(client, "create_project", {"name": "Tea"}))["id"]
        uri = f"layercake://projects/{project}/plan"
        async with client.listen(resource_subscriptions=[uri]) as subscription:
            assert subscription.honored.resource_subscriptions == [uri], subscription.honored
            await call(client, "create_plan", {"project_id": project, "name": "Brew", "yaml_content": "a: 1"})
            async for event in subscription:
                assert event.uri == uri, event
                break


async def is_asked(mode):
    questions = []

    def answer(action):
        async def callback(context, params):
            questions.append(params.message)
            return ElicitResult(action=action, content={} if action == "accept" else None)

        return callback

    async with Client(URL, mode=mode, elicitation_callback=answer("decline")) as client:
        project = (await call(client, "create_project", {"name": "Tea"}))["id"]
        assert await fail(client, "delete_project", {"project_id": project}) == "FORBIDDEN"
        await call(client, "get_project", {"project_id": project})
    async with Client(URL, mode=mode, elicitation_callback=answer("accept")) as client:
        await call(client, "delete_project", {"project_id": project})
        assert await fail(client, "get_project", {"project_id": project}) == "NOT_FOUND"
    assert len(questions) == 2 and all("Tea" in q for q in questions), questions


async def main():
    for mode in "auto", "legacy":
        for test in every_tool, every_resource, every_prompt, listen, is_asked:
            try:
                await asyncio.wait_for(test(mode), PATIENCE)
            except BaseException:
                print(f"FAILED: {test.__name__}, {mode}")
                raise


asyncio.run(main())
