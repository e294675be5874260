// The work in Fastify, with a schema of the answer, by which it prints JSON.
import Fastify from "fastify";

const fastify = Fastify();

const product = {
  type: "object",
  properties: {
    id: { type: "string" },
    q: { type: "string" },
    price: { type: "number" },
    tags: { type: "array", items: { type: "string" } },
  },
};

fastify.get("/_functions/product/:id", { schema: { response: { 200: product } } }, async (request) => {
  return { id: request.params.id, q: request.query.q, price: 12.5, tags: ["a", "b"] };
});

fastify.post("/_functions/echo", async (request) => {
  return request.body;
});

await fastify.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
